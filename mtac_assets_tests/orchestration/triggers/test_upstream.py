"""A dataset that two recipes share: what the line of one brings in, the other's sensor asks to learn from."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta

import pytest

from mtac_assets.orchestration.line import run_line
from mtac_assets.provenance.refs import list_models
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.tides import write_day

pytestmark = pytest.mark.slow


def test_what_another_recipes_line_ingests_asks_for_a_training(daemon) -> None:
    project = daemon.project
    folder = project.recipes()["floods"].parent
    shutil.copytree(folder, folder.with_name("surges"))
    other = folder.with_name("surges") / "recipe.yaml"
    text = other.read_text().replace("name: floods", "name: surges").replace("seed: 7", "seed: 9")
    other.write_text(text[: text.index("triggers:")] + "triggers:\n  upstream: [tides]\n")
    daemon.start_again()
    for offset in range(10):
        write_day(project.root, date(2024, 1, 1) + timedelta(days=offset))
    surges = run_line(project, load_recipe(project, "surges", (), date(2024, 1, 8))).model_id
    assert "as it is" in daemon.tick("surges_upstream").skip_message

    daemon.later(hours=24)
    run_line(project, load_recipe(project, "floods", (), date(2024, 1, 9)))  # needs a day more, and ingests it
    (asked,) = daemon.tick("surges_upstream").run_requests
    assert asked.job_name == "surges_line"
    assert asked.tags["mtac/trigger"] == "upstream"
    evidence = json.loads(asked.tags["mtac/evidence"])
    assert evidence["datasets"]["tides"]["new"] == {"days": 1, "first": ["2024-01-10"]}
    assert [model.model_id for model in list_models(project, "surges")] == [surges]
