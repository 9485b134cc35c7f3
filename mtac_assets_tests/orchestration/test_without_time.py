"""A recipe without time: no partitions anywhere, one model, and the same line."""

from __future__ import annotations

import pytest

from mtac_assets.orchestration.line import run_line
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.provenance.plan import plan
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project


@pytest.fixture
def timeless(project: Project) -> Project:
    """The small project, its data one file and its recipe parted by content."""
    days = sorted((project.root / "incoming").glob("tides-*.csv"))
    header = days[0].read_text().splitlines()[0]
    rows = [line for day in days for line in day.read_text().splitlines()[1:]]
    (project.root / "incoming" / "tides.csv").write_text("\n".join([header, *rows]) + "\n")
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    dataset.write_text(
        dataset.read_text()
        .replace("tides-{date}.csv", "tides.csv")
        .replace("{kind: daily, date: day, start: 2024-01-01, end: 2024-01-14}", "{kind: none}")
        .replace("event_time: asked_at\n", "")
        .replace("max: 500", "max: 5000")
    )
    recipe.write_text(
        recipe.read_text()
        .replace(
            "window: {train_days: 5, validate_days: 1, test_days: 2, history_days: 1}",
            "split: {validate_share: 0.2, test_share: 0.2, by: [], seed: 1}",
        )
        .replace("unit: day", "unit: row")
    )
    return project


def test_nothing_is_partitioned(timeless: Project) -> None:
    repository = load_repository(timeless)
    assert len(repository.assets_defs_by_key) == 7
    for key, assets in repository.assets_defs_by_key.items():
        assert assets.partitions_def is None, key


@pytest.mark.slow
def test_its_line_runs_and_leaves_nothing_to_do(timeless: Project) -> None:
    resolved = load_recipe(timeless, "floods")
    line = run_line(timeless, resolved)
    assert len(line.dagster_run_ids) == 3
    assert line.report.is_file()
    assert plan(timeless, resolved).up_to_date
