"""Which licences are let through, and which a person has to look at."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from mtac_assets_tests.conftest import ROOT

spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)


@pytest.mark.parametrize(
    "words",
    ["MIT", "BSD-3-Clause", "Apache Software License", "Mozilla Public License 2.0 (MPL 2.0)", "GPL-3.0 OR MIT"],
)
def test_let_through(words: str) -> None:
    assert audit.verdict("some", words) is None


@pytest.mark.parametrize(
    "words", ["GPL-3.0-only", "GNU General Public License v3 (GPLv3)", "AGPL-3.0", "Proprietary", ""]
)
def test_looked_at(words: str) -> None:
    assert "some: " in audit.verdict("some", words)


def test_the_pinned_stack_passes() -> None:
    assert audit.licences(ROOT / "constraints.txt") == []
