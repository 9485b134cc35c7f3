"""The report as a folder: report.json (every number), report.html (the same for people), plots, and the scores themselves.

    report.json      document, schema_version 1; NaN never
    report.html      self-contained page
    plots/*.svg      its charts as files of their own
    scores.parquet   label, unit, and each model's score of every test row, so that a later comparison needs no model
    files.json       written last: every other file with size and SHA-256

A decision's own (judged.py) has neither page nor plots.

What does not belong here: how a number comes to be (assess.py), how a page looks (page.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import json_bytes, publish_folder, read_json, temporary_path
from mtac_assets.spec.errors import Finding

SCHEMA_VERSION = 1
DOCUMENT, PAGE, SCORES, LIST, PLOTS = "report.json", "report.html", "scores.parquet", "files.json", "plots"


@dataclass(frozen=True)
class Report:
    """A published report: its folder and its document."""

    folder: Path
    document: dict[str, Any]

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        return self.document["metrics"]

    def scores(self) -> pa.Table:
        """`label`, `unit` (what is resampled), and a column of scores a model: `model`, `champion`, the baselines."""
        return pq.read_table(self.folder / SCORES)


Draw = Callable[[Mapping[str, Any], Path], list[str]]
Page = Callable[[Mapping[str, Any]], str]


def publish_report(
    document: Mapping[str, Any], scores: pa.Table, out: Path, draw: Draw | None = None, page: Page | None = None
) -> Report:
    """Publish the whole folder at once; what was at `out` before stays until then, and where this fails."""
    complete = {**document, "schema_version": SCHEMA_VERSION}
    temporary = temporary_path(out)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.mkdir()
        if draw is not None:
            complete["plots"] = draw(complete, temporary / PLOTS)
        pq.write_table(scores, temporary / SCORES, compression="zstd")
        (temporary / DOCUMENT).write_bytes(json_bytes(complete))
        if page is not None:
            (temporary / PAGE).write_text(page(complete), encoding="utf-8")
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        listed = {
            path.relative_to(temporary).as_posix(): {"size": path.stat().st_size, "sha256": sha256_file(path)}
            for path in files
        }
        (temporary / LIST).write_bytes(json_bytes({"schema_version": SCHEMA_VERSION, "files": listed}))
        publish_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already where all went well
    return Report(out, complete)


def open_report(folder: Path) -> Report:
    """The report in `folder`, each file's digest checked. EvaluationError where it is missing or damaged."""
    try:
        listed, document = read_json(folder / LIST)["files"], read_json(folder / DOCUMENT)
        damaged = [name for name, entry in listed.items() if sha256_file(folder / name) != entry["sha256"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(_unreadable(folder, f"not readable: {error}")) from error
    if damaged:
        raise EvaluationError(_unreadable(folder, f"damaged: {', '.join(damaged)}"))
    if document.get("schema_version") != SCHEMA_VERSION:
        raise EvaluationError(_unreadable(folder, f"schema_version is {document.get('schema_version')!r}"))
    return Report(folder, document)


def _unreadable(folder: Path, what: str) -> Finding:
    return Finding(
        what, str(folder), f"an evaluation report (schema_version {SCHEMA_VERSION})", "evaluate the model again"
    )
