"""Each start closes what a killed run left open; where nothing was, it imports neither MLflow nor Dagster to find that out."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from mtac_assets.cli import left_open
from mtac_assets.promotion import told
from mtac_assets.provenance import ledger
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec import clock
from mtac_assets.tracking import outbox, registry
from mtac_assets_tests.trained import AS_OF, Line

# A training that is killed: its recording is open in the outbox, and Dagster's run is STARTED.
KILLED_TRAINING = """
import os, signal, sys
from mtac_assets.cli.app import run
from mtac_assets.training import launch

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

launch.train = die
run(["run", "floods", "--as-of", sys.argv[1], "--json"])
"""
HEAVY = """
import sys
from mtac_assets.cli.app import run
for verb in sys.argv[1:]:
    code = run(verb.split())
    assert code == 0, verb
    print(verb.split()[0], [name for name in ("mlflow", "dagster", "torch", "pandas") if name in sys.modules], file=sys.stderr)
"""


def dagster_runs(line: Line) -> dict[str, str]:
    from mtac_assets.orchestration.instance import instance

    with instance(line.project) as opened:
        return {record.dagster_run.run_id: record.dagster_run.status.value for record in opened.get_run_records()}


@pytest.mark.fault
def test_a_look_at_the_models_closes_what_a_killed_training_left_open(line: Line) -> None:
    before = dagster_runs(line)
    assert line.script(KILLED_TRAINING, "2024-01-09").returncode == -signal.SIGKILL
    (folder,) = outbox.recordings(line.project.state.outbox)
    assert not folder.finished()
    line.mtac("models")
    assert outbox.recordings(line.project.state.outbox) == []
    assert {status for run_id, status in dagster_runs(line).items() if run_id not in before} <= {"SUCCESS", "FAILURE"}
    with registry.connected(line.project, "the test's question") as client:
        experiment = client.get_experiment_by_name("floods")
        assert experiment is not None
        statuses = [run.info.status for run in client.search_runs([experiment.experiment_id])]
    assert sorted(statuses) == ["FINISHED", "KILLED"]


def test_a_plan_tells_mlflow_what_the_ledger_says_and_the_next_starts_have_nothing_to_ask(
    line: Line, model: dict[str, Any]
) -> None:
    """A promotion that was killed after its entry: any start completes it. Also no-op runs decide before Dagster is imported."""
    model_id = model["model_id"]
    ledger.append(line.project, "local", kind="promote", recipe="floods", model_id=model_id, actor="ada", reason="good")
    assert not told.is_told(line.project)
    line.mtac("plan", "floods", "--as-of", AS_OF)
    assert registry.aliases(line.project, "floods") == {"champion": model_id}
    assert told.is_told(line.project)
    verbs = [
        f"plan floods --as-of {AS_OF}",
        f"run floods --as-of {AS_OF}",
        "models",
        f"show {model_id}",
        "history floods",
    ]
    done = line.script(HEAVY, *(f"{verb} --json" for verb in verbs))
    assert done.returncode == 0, done.stderr
    assert [row for row in done.stderr.splitlines() if row] == [f"{verb.split()[0]} []" for verb in verbs]
    light = line.script(HEAVY.replace('"pandas"', '"pydantic"'), f"plan floods --as-of {AS_OF} --json")
    assert light.stderr.splitlines()[-1] == "plan []", "the start's question types no environment: that took 0.2 s"


def test_a_state_that_may_only_be_read_can_still_be_looked_at(line: Line, model: dict[str, Any]) -> None:
    ledger.append(
        line.project, "local", kind="promote", recipe="floods", model_id=model["model_id"], actor="ada", reason="good"
    )
    mark = line.project.state.cache / told.SETTLED
    mark.unlink(missing_ok=True)
    mark.mkdir()  # a stand-in for a folder that cannot be written, which root can
    assert [one["model_id"] for one in line.mtac("models")["models"]] == [model["model_id"]]
    mark.rmdir()


def test_mlflow_s_absence_is_waited_for_once_a_minute_by_verbs_that_read(line: Line, model: dict[str, Any]) -> None:
    ledger.append(
        line.project, "local", kind="promote", recipe="floods", model_id=model["model_id"], actor="ada", reason="good"
    )
    tried = line.project.state.cache / left_open.TRIED
    tried.unlink(missing_ok=True)
    with line.mlflow_away():
        first = line.script(HEAVY, "models --json").stderr.splitlines()
        assert [row for row in first if "warning: " in row]
        document = read_json(tried) | {"left": ["as the last try said"], "at": clock.timestamp()}
        write_json(tried, document)
        again = line.script(HEAVY, "models --json").stderr.splitlines()
    assert again == ["warning: as the last try said", "models []"]
    assert read_json(tried) == document
