"""Pictures beside an asset: inline where they are small, named where the event log would swell, silent where they are none."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg

from mtac_assets.evaluation.svg import picture
from mtac_assets.evaluation.svg_file import svg_file
from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.assets.report import _report_metadata

DRAWN = svg_file("Größer <als> 1", [picture(10, 10, [], "a")])
PREFIX = "data:image/svg+xml;base64,"


def _inside(shown: Any) -> str:
    address = str(shown.value).partition("](")[2].removesuffix(")")
    assert address.startswith(PREFIX)
    return base64.b64decode(address.removeprefix(PREFIX)).decode()


def test_a_picture_comes_back_as_it_was_drawn(tmp_path: Path) -> None:
    shown = metadata.image("size", DRAWN)
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert str(shown.value).startswith("![size](")
    assert _inside(shown) == DRAWN
    (tmp_path / "roc.svg").write_bytes(DRAWN.encode())
    assert _inside(metadata.plot(tmp_path / "roc.svg")) == DRAWN


def test_one_too_large_is_named_with_its_size() -> None:
    large = DRAWN + " " * metadata.LARGEST_INLINE
    assert metadata.image("size", large) == dg.MetadataValue.text(
        f"size has {len(large.encode()):,} bytes, too many to show here"
    )


def test_a_reports_plots_are_shown_by_name_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    for name in ("roc", "pr", "bits_per_byte", "by_day"):
        (tmp_path / "plots" / f"{name}.svg").write_bytes(DRAWN.encode())
    (tmp_path / "plots" / "calibration.png").write_bytes(b"\x89PNG")
    document = {"model_id": "m-1", "metrics": {}, "baselines": {}, "test": {"rows": 3, "bytes": 9}}
    shown = _report_metadata(document, tmp_path)
    assert {name for name, value in shown.items() if PREFIX in str(value)} == {"roc", "pr", "bits per byte"}
    ElementTree.fromstring(_inside(shown["roc"]))
