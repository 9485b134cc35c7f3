"""The tides project, fresh for each test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtac_assets.spec.project import Project
from mtac_assets_tests.tides import make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A fresh project; its package is importable."""
    made = make_project(tmp_path)
    monkeypatch.syspath_prepend(str(made.root))
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.package]:
        del sys.modules[name]
    shutil.rmtree(made.root / ".mtac", ignore_errors=True)
