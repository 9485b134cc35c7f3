"""What a person sees beside an asset: numbers, tables, plots and links, in Dagster's metadata types.

Values only, and nothing that has to be computed from data: the floors below have measured already.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.spec.recipe import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from mtac_assets.spec.errors import Finding

LARGEST_INLINE = 120_000  # bytes; metadata is stored in the event log, once a materialisation
SHORT = 12


def short(digest: str) -> str:
    """The first twelve digits, by which a digest is known."""
    return digest[:SHORT]


def code(*files: Path) -> dg.CodeReferencesMetadataValue:
    """The files of the project that decide an asset, for the UI's links to the source."""
    references: list[Any] = [
        dg.LocalFileCodeReference(file_path=str(file), line_number=1, label=file.name) for file in files
    ]
    return dg.CodeReferencesMetadataValue(code_references=references)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MetadataValue:
    """A Markdown table; numbers are formatted by the caller."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(" --- " for _ in columns) + "|"]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return dg.MetadataValue.md("\n".join(lines))


def schema(columns: Iterable[tuple[str, str]]) -> dg.TableSchema:
    """A manifest's columns (name, type) as Dagster's column schema."""
    return dg.TableSchema(columns=[dg.TableColumn(name=name, type=kind) for name, kind in columns])


def same_columns(asset: dg.AssetKey, columns: Iterable[str]) -> dg.TableColumnLineage:
    """Each of `columns` comes from the column of `asset` that has its name, and from no other."""
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(asset_key=asset, column_name=name)] for name in columns},
    )


def plot(path: Path) -> dg.MetadataValue:
    """An SVG file inline."""
    return image(path.stem, path.read_text(encoding="utf-8"))


def image(name: str, svg: str) -> dg.MetadataValue:
    """An SVG inline. One too large for the event log is named instead of shown."""
    data = svg.encode()
    if len(data) > LARGEST_INLINE:
        return dg.MetadataValue.text(f"{name} has {len(data):,} bytes, too many to show here")
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{base64.b64encode(data).decode()})")


def file_link(path: Path) -> dg.MetadataValue:
    return dg.MetadataValue.path(str(path))


def interval(metric: Mapping[str, float | None]) -> str:
    """A metric of the report, as `0.7123 [0.7011, 0.7240]`."""
    value, low, high = metric["value"], metric.get("low"), metric.get("high")
    if value is None:
        return "undefined"
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"


def metric_table(report: Mapping[str, Any]) -> dg.MetadataValue:
    """The model and its baselines side by side, one metric a row."""
    baselines = report["baselines"]
    rows = [
        [f"**{name.replace('_', ' ')}**", interval(report["metrics"][name])]
        + [interval(metrics[name]) if name in metrics else "" for metrics in baselines.values()]
        for name in HIGHER_IS_BETTER
        if name in report["metrics"]
    ]
    return table(["metric", "model", *(name.replace("_", " ") for name in baselines)], rows)


def findings_table(findings: Iterable[Finding]) -> dg.MetadataValue:
    return table(
        ["where", "what is wrong", "expected", "remedy"],
        [[finding.where, finding.error, finding.expected, finding.remedy] for finding in findings],
    )
