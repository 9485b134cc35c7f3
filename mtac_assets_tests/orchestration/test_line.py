"""The whole line on a small project of a team's own: real Dagster, real trainer, real MLflow, real DVC and Git."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import dagster as dg
import psutil
import pytest

from mtac_assets.orchestration import dead_runs
from mtac_assets.orchestration.dead_runs import close_dead_runs
from mtac_assets.orchestration.instance import instance
from mtac_assets.orchestration.line import LineResult, ingest_days, run_line, unbroken
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.provenance.files import FileState
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.plan import plan
from mtac_assets.spec.errors import CheckFailed
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets_tests.running import command
from mtac_assets_tests.tides import make_project, write_day

AS_OF = date(2024, 1, 8)


@dataclass(frozen=True)
class Made:
    project: Project
    resolved: ResolvedRecipe
    line: LineResult
    told: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One model of the small project, as `mtac run floods --as-of 2024-01-08` makes it."""
    project = make_project(tmp_path_factory.mktemp("coast"))
    sys.path.insert(0, str(project.root))
    resolved = load_recipe(project, "floods", (), AS_OF)
    told: list[str] = []
    yield Made(project, resolved, run_line(project, resolved, echo=told.append), told)
    sys.path.remove(str(project.root))


def _materialized(project: Project, asset: str) -> dict[str | None, dg.AssetMaterialization]:
    with instance(project) as opened:
        records = opened.fetch_materializations(dg.AssetKey(asset.split("/")), limit=200).records
        return {record.partition_key: record.asset_materialization for record in reversed(records)}


def test_a_line_leaves_a_whole_model_and_nothing_to_do(made: Made) -> None:
    line, state = made.line, made.project.state
    assert line.model_id == f"floods-{line.fingerprint[:12]}"
    assert (state.models / line.model_id / "pack.json").is_file()
    assert line.report.is_file()
    assert Repository.at(made.project.root).resolve(f"refs/mtac/models/{line.model_id}") is not None
    assert line.mlflow_url is not None
    (told,) = _materialized(made.project, "floods/model").values()
    assert told.metadata["mlflow_run"] == dg.MetadataValue.url(line.mlflow_url), "the link on the model's page"
    assert plan(made.project, made.resolved).up_to_date
    assert run_line(made.project, made.resolved).dagster_run_ids == ()


def test_its_runs_are_the_jobs_runs_with_their_tags(made: Made) -> None:
    with instance(made.project) as opened:
        runs = [opened.get_run_by_id(run_id) for run_id in made.line.dagster_run_ids]
        repository = {run.remote_job_origin.repository_origin.code_location_origin.location_name for run in runs if run}
    assert [run.job_name for run in runs if run] == ["tides_ingest", "floods_features", "floods_train"]
    assert {run.status for run in runs if run} == {dg.DagsterRunStatus.SUCCESS}
    assert repository == {made.project.package}
    tags = runs[-1].tags if runs[-1] else {}
    expected = {
        "mtac/recipe": "floods",
        "mtac/as_of": "2024-01-08",
        "mtac/model_id": made.line.model_id,
        "mtac/trigger": "person",
        "dagster/partition": "2024-01-08",
        "dagster/max_runtime": "600",
    }
    assert expected.items() <= tags.items()


def test_every_partition_carries_its_own_content_digest(made: Made) -> None:
    needed = [f"2024-01-0{day}" for day in range(2, 10)]
    days = _materialized(made.project, "tides")
    assert sorted(key for key in days if key) == needed
    assert len({event.tags["dagster/data_version"] for event in days.values()}) == len(needed)
    assert {event.metadata["dagster/row_count"].value for event in days.values()} == {120}
    (model,) = _materialized(made.project, "floods/model").values()
    assert model.tags["dagster/data_version"] == made.line.weights_digest
    assert model.metadata["Model ID"].value == made.line.model_id
    (report,) = _materialized(made.project, "floods/report").values()
    assert "roc auc" in str(report.metadata["metrics"].value)
    for name in ("calibration", "roc", "pr"):
        assert str(report.metadata[name].value).startswith(f"![{name}](data:image/svg+xml;base64,")


def test_each_column_of_the_training_set_comes_from_the_features_column_of_its_name(made: Made) -> None:
    (training_set,) = _materialized(made.project, "floods/training_set").values()
    lineage = training_set.metadata["dagster/column_lineage"].value
    features = dg.AssetKey(["floods", "features"])
    assert lineage.deps_by_column == {
        name: [dg.TableColumnDep(asset_key=features, column_name=name)] for name in ("level", "gauge", "label", "day")
    }
    columns = training_set.metadata["dagster/column_schema"].value.columns
    assert {column.name: column.type for column in columns} == {
        "level": "float32", "gauge": "int32", "label": "float32", "day": "int32",
    }  # fmt: skip
    (computed, *_) = _materialized(made.project, "floods/features").values()
    there = {column.name for column in computed.metadata["dagster/column_schema"].value.columns}
    assert lineage.deps_by_column.keys() <= there


@pytest.mark.slow
def test_an_override_is_another_model_and_stands_on_the_run(made: Made) -> None:
    resolved = load_recipe(made.project, "floods", ("training.learning_rate=3e-3",), AS_OF)
    line = run_line(made.project, resolved)
    assert line.model_id != made.line.model_id
    assert len(line.dagster_run_ids) == 1, "the data and the features are the same"
    with instance(made.project) as opened:
        run = opened.get_run_by_id(line.dagster_run_ids[0])
    assert run is not None
    assert run.tags["mtac/overrides"] == "training.learning_rate=3e-3"
    assert run.run_config["resources"]["settings"]["config"]["overrides"] == ["training.learning_rate=3e-3"]


def test_a_model_whose_commit_is_gone_is_recorded_again_and_not_judged_again(made: Made) -> None:
    name, report = f"refs/mtac/models/{made.line.model_id}", made.line.report.with_name("report.json")
    before, repository = FileState.of(report), Repository.at(made.project.root)
    repository.run("update-ref", "-d", name)
    assert run_line(made.project, made.resolved).model_id == made.line.model_id
    assert repository.resolve(name) is not None
    assert FileState.of(report) == before
    assert plan(made.project, made.resolved).up_to_date


@pytest.mark.slow
def test_forced_training_gives_the_same_weights(made: Made) -> None:
    again = run_line(made.project, made.resolved, force=True)
    assert (again.model_id, again.weights_digest) == (made.line.model_id, made.line.weights_digest)
    assert again.dagster_run_ids


def test_a_day_that_was_delivered_anew_is_ingested_and_touching_its_file_trains_nothing(made: Made) -> None:
    before = made.line.model_id
    os.utime(made.project.root / "incoming" / "tides-2024-01-05.csv")
    (step,) = plan(made.project, made.resolved).steps
    assert (step.asset, step.partitions) == ("tides", ("2024-01-05",))
    line = run_line(made.project, made.resolved)
    assert (line.model_id, len(line.dagster_run_ids)) == (before, 1)
    assert plan(made.project, made.resolved).up_to_date


def test_a_day_that_breaks_its_contract_ends_the_line_with_its_finding(project: Project) -> None:
    write_day(project.root, date(2024, 1, 4), level_factor=1000)
    with pytest.raises(CheckFailed, match=r"2024-01-04 .*level") as failure:
        run_line(project, load_recipe(project, "floods", (), AS_OF))
    assert failure.value.exit_code == 1
    kept = _materialized(project, "tides")
    assert "2024-01-04" not in kept
    assert len(kept) == 7
    assert not project.state.models.exists()
    with instance(project) as opened:
        (run,) = opened.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        checks = opened.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey("tides"), "contract"), limit=1
        )
        assert checks[0].status.value == "FAILED"


def test_days_that_are_there_are_told_as_unchanged(project: Project) -> None:
    days = ["2024-01-02", "2024-01-03", "2024-01-06"]
    assert len(ingest_days(project, "tides", days)) == 2, "a run for each unbroken range"
    before = _materialized(project, "tides")
    ingest_days(project, "tides", days[:2])
    after = _materialized(project, "tides")
    assert before["2024-01-02"].metadata["state"].value == "written"
    assert after["2024-01-02"].metadata["state"].value == "unchanged"
    assert before["2024-01-02"].tags == after["2024-01-02"].tags


def test_a_run_whose_process_is_gone_is_failed_at_the_next_start(project: Project) -> None:
    contract = project.defs / "tides" / "contract.py"
    contract.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n" + contract.read_text())
    child = os.fork()
    if child == 0:  # begins a run and dies in it, as a killed `mtac run` does
        ingest_days(project, "tides", ["2024-01-02"])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with instance(project) as opened:
        (left,) = opened.get_runs()
        assert left.status is dg.DagsterRunStatus.STARTED
        assert close_dead_runs(project, opened) == (left.run_id,)
        (closed,) = opened.get_runs()
        assert closed.status is dg.DagsterRunStatus.FAILURE
        assert close_dead_runs(project, opened) == ()


@pytest.mark.parametrize(("tags", "closed"), [({"mtac/trigger": "arrival"}, 1), ({}, 0)])
def test_a_triggered_run_that_nobody_signed_is_failed(
    project: Project, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], closed: int
) -> None:
    """Killed before its first step could name its process; one that a person started may wait in a pool, and is left."""
    with instance(project) as opened:
        job = load_repository(project).get_job("tides_ingest")
        run = opened.create_run_for_job(job_def=job, tags=tags)
        opened.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "tides_ingest"), run.run_id)
        assert close_dead_runs(project, opened) == (), "it may yet be signed"
        monkeypatch.setattr(dead_runs, "SIGN_SECONDS", -1)
        assert len(close_dead_runs(project, opened)) == closed


@pytest.mark.fault
def test_a_killed_trainer_is_tried_again_and_gives_the_same_weights(made: Made) -> None:
    overrides = ("training.epochs=60", "training.checkpoint_every_steps=5", "training.seed=8")
    resolved = load_recipe(made.project, "floods", overrides, AS_OF)
    killed: list[int] = []

    def kill_once() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            for process in psutil.Process().children(recursive=True):
                if "mtac_assets.training" in command(process).split() and _checkpoints(made.project):
                    process.kill()
                    killed.append(process.pid)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_once)
    killer.start()
    interrupted = run_line(made.project, resolved)
    killer.join()
    assert killed
    with instance(made.project) as opened:
        stats = opened.get_run_step_stats(interrupted.dagster_run_ids[-1], ["floods__model"])
    assert stats[0].attempts == 2
    calm = run_line(made.project, resolved, force=True)
    assert calm.weights_digest == interrupted.weights_digest


def _checkpoints(project: Project) -> bool:
    unsealed = [pack for pack in project.state.models.iterdir() if pack.is_dir() and not (pack / "pack.json").exists()]
    return any(any((pack / "checkpoints").glob("*")) for pack in unsealed)


def test_days_are_parted_where_one_is_missing() -> None:
    assert unbroken(["2024-02-28", "2024-03-01", "2024-02-29", "2024-03-03"]) == [
        ("2024-02-28", "2024-02-29", "2024-03-01"),
        ("2024-03-03",),
    ]
    assert unbroken(["all"]) == [("all",)]
