"""What is run is what was digested, also where Python would take old byte code for current."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mtac_assets.data.source_module import load_source


def test_an_edit_within_the_same_second_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "mtac_edited.py"
    path.write_text("LIMIT = 3\n")
    os.utime(path, ns=(10**18, 10**18))
    assert __import__("mtac_edited").LIMIT == 3
    assert list((tmp_path / "__pycache__").iterdir()), "an import has left byte code"
    path.write_text("LIMIT = 4\n")
    os.utime(path, ns=(10**18, 10**18))
    assert load_source(path, "mtac_edited").LIMIT == 4
