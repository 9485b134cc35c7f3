"""`dg scaffold defs mtac_assets.orchestration.… NAME`: a new folder that works as it is, with comments that say what to change.

The templates are the files that a team would write; words between double underscores are filled in here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from mtac_assets.provenance.files import write_atomic
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.load import load_dataset
from mtac_assets.spec.project import find_project

TEMPLATES = Path(__file__).parent / "templates"

WINDOW = """\
window:                         # days, counted from the as-of date
  train_days: 28                # before the as-of date, the last validate_days of them to validate
  validate_days: 7
  test_days: 7                  # from the as-of date on
  history_days: 7               # how far features look back"""
SPLIT = """\
split: {validate_share: 0.2, test_share: 0.2, by: [], seed: 1}  # the rows have no time: they are parted by their content"""
TIMED_VIEW = """\
    features["hour"] = rows["__EVENT_TIME__"].dt.hour.astype("float32")
    features["weekday"] = rows["__EVENT_TIME__"].dt.weekday.astype("float32")"""
PLAIN_VIEW = """\
    features["constant"] = 0.0  # replace by columns of `rows`"""


class RecipeParameters(BaseModel):
    """What `dg scaffold` may be told of a new recipe."""

    rows: str | None = Field(None, description="The dataset of which each row is an example; without it, the only one.")


class DatasetScaffolder(dg.Scaffolder[Any]):
    """Writes dataset.yaml and contract.py beside defs.yaml."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        _write(request, "dataset", ("dataset.yaml", "contract.py"), {})


class RecipeScaffolder(dg.Scaffolder[RecipeParameters]):
    """Writes recipe.yaml and features.py beside defs.yaml, for a dataset that is there."""

    @classmethod
    def get_scaffold_params(cls) -> type[RecipeParameters]:
        return RecipeParameters

    def scaffold(self, request: dg.ScaffoldRequest[RecipeParameters]) -> None:
        rows = _rows(request.target_path, request.params.rows if request.params is not None else None)
        timed = rows.partitions.kind == "daily" and rows.event_time is not None
        words = {
            "__TIME__": WINDOW if timed else SPLIT,
            "__NUMERIC__": "hour, weekday" if timed else "constant",
            "__VIEW__": TIMED_VIEW if timed else PLAIN_VIEW,
            "__EVENT_TIME__": rows.event_time or "",
            "__OUTCOME__": rows.outcome_columns[0],
            "__ROWS__": rows.name,
        }
        _write(request, "recipe", ("recipe.yaml", "features.py"), words)


def _rows(folder: Path, name: str | None) -> Dataset:
    """The dataset to learn from. Raises SpecError where none is named and there is not just one that could be meant."""
    project = find_project(folder)
    usable = [name] if name else list(project.datasets())
    datasets = [dataset for dataset in (load_dataset(project, each) for each in usable) if dataset.outcome_columns]
    if len(datasets) != 1:
        listed = ", ".join(dataset.name for dataset in datasets)
        raise SpecError(
            Finding(
                f"which dataset has the rows? {listed or 'None'} could be meant",
                "--rows",
                "the name of one dataset of this project with outcome_columns",
                f"add --rows {datasets[0].name}"
                if datasets
                else "scaffold a dataset first, or name its outcome_columns",
            )
        )
    return datasets[0]


def _write(request: dg.ScaffoldRequest[Any], kind: str, files: tuple[str, ...], words: dict[str, str]) -> None:
    folder = request.target_path
    if request.scaffold_format != "yaml":
        raise SpecError(
            Finding(
                f"a {kind} cannot be written as {request.scaffold_format}",
                "--format",
                "yaml: what a team decides stands in YAML, in the strict language",
                "leave --format out",
            )
        )
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise SpecError(
            Finding(f"{', '.join(taken)} is there already", str(folder), "a new folder", "choose another name")
        )
    for name in files:
        template = TEMPLATES / kind / (f"{name}.txt" if name.endswith(".py") else name)
        content = template.read_text(encoding="utf-8")
        for word, value in {**words, "__NAME__": folder.name}.items():
            content = content.replace(word, value)
        write_atomic(folder / name, content.encode())
    write_atomic(folder / "defs.yaml", f"type: {request.type_name}\n".encode())
