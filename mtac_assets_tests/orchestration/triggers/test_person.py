"""A person asks for a training, from the command line and from Dagster: who and why stand in the model's record, and move no bit."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date

import pytest

from mtac_assets.orchestration.jobs import line_name
from mtac_assets.orchestration.triggers.line_job import line_config, step_name
from mtac_assets.provenance.identity import declare
from mtac_assets.provenance.refs import find_model, list_models
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project

pytestmark = pytest.mark.slow
WHY = "the gauge was moved [south]"


def mtac(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mtac_assets.cli", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True)


def test_from_the_command_line(project: Project) -> None:
    asked = ("run", "floods", "--as-of", "2024-01-07", "--json", "--by", "Ada")
    made = json.loads(mtac(project, *asked, "--reason", WHY).stdout)
    resolved = load_recipe(project, "floods", (), date(2024, 1, 7))
    assert made["model_id"] == declare(project, resolved).model_id("floods"), "the reason is in no fingerprint"
    shown = json.loads(mtac(project, "show", made["model_id"], "--json").stdout)
    assert (shown["trigger"], shown["actor"], shown["evidence"]) == ("person", "Ada", {"reason": WHY})
    page = mtac(project, "show", made["model_id"]).stdout
    assert "by Ada, trigger: person" in page
    assert WHY in page

    again = mtac(project, *asked, "--reason", "another")
    assert json.loads(again.stdout)["status"] == "unchanged"
    assert "no record that would hold who asks and why" in again.stderr
    assert find_model(project, made["model_id"]).evidence == {"reason": WHY}


def test_from_dagster(daemon) -> None:
    project, job = daemon.project, daemon.repository.get_job(line_name("floods"))
    from mtac_assets.orchestration.execute import execute
    from mtac_assets_tests.tides import write_day

    for number in range(1, 9):
        write_day(project.root, date(2024, 1, number))
    config = line_config("floods", "2024-01-07")
    config["ops"][step_name("floods")]["config"] |= {"by": "Grace", "reason": WHY}
    execute(project, daemon.instance, job, tags={}, run_config=config)
    (model,) = list_models(project, "floods")
    assert (model.trigger, model.actor, model.evidence) == ("person", "Grace", {"reason": WHY})
    assert model.model_id == declare(project, load_recipe(project, "floods", (), date(2024, 1, 7))).model_id("floods")
