"""Faults under the real daemon, one after the other over one project whose champion serves meanwhile, and stays.

The rows are those of docs/faults.md. Days are dropped as Parquet; each test takes days of its own. Screenshots stay in the folder
MTAC_SCREENSHOTS; look at them after a change of what the pages show.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import psutil
import pytest

from mtac_assets.data.partitions import manifest_path, present, quarantine_path, read_manifest
from mtac_assets.monitoring.drift import store as verdicts
from mtac_assets.monitoring.stored_predictions import scored_days
from mtac_assets.orchestration.line import run_line
from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.store import Pointer, Store
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests import running
from mtac_assets_tests.browser import Browser, browser  # noqa: F401  (a fixture)
from mtac_assets_tests.running import Running, until
from mtac_assets_tests.tides import make_project, write_day

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(900)]
FIRST = date(2024, 1, 1)
AS_OF = date(2024, 1, 25)
ARRIVAL = "arrival: {active: true, every_seconds: 1, settle_seconds: 1, attempts: 2, backoff_minutes: 0.05}\n"
TRIGGERS = """triggers:
  active: true
  drift: {persistence: 2, resamples: 300}
  cooldown_hours: 0
  backoff: {attempts: 2, first_minutes: 0.1}
"""


def day(number: int) -> str:
    """The day so many days after the first of January."""
    return (FIRST + timedelta(days=number - 1)).isoformat()


@pytest.fixture(scope="module")
def coast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The tides in Parquet, 27 days there, a model of the floods trained and rebuilt, nothing promoted yet; all triggers on.
    Not up yet."""
    made = make_project(tmp_path_factory.mktemp("faults") / "coast")
    dataset, recipe = made.datasets()["tides"], made.recipes()["floods"]
    text = dataset.read_text().replace("end: 2024-01-14", "end: 2024-04-30")
    text = text.replace('pattern: "tides-{date}.csv", format: csv', 'pattern: "tides-{date}.parquet", format: parquet')
    dataset.write_text(text.replace("  rows: {", "  null_rates: {level: 0.2}\n  rows: {") + ARRIVAL)
    contract = dataset.with_name("contract.py")
    nullable = contract.read_text().replace("in_range(0, 10))", "in_range(0, 10), nullable=True)")
    contract.write_text(nullable)
    text = recipe.read_text().replace(
        "train_days: 5, validate_days: 1, test_days: 2", "train_days: 24, validate_days: 2, test_days: 3"
    )
    recipe.write_text(text[: text.index("triggers:")] + TRIGGERS)
    shutil.rmtree(made.root / "incoming")
    project = find_project(made.root)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "the tides as they land"]
    subprocess.run(git, cwd=project.root, check=True)
    for number in range(1, 28):
        land(project, day(number))
    sys.path.insert(0, str(project.root))
    try:
        model_id = run_line(project, load_recipe(project, "floods", (), AS_OF)).model_id
    finally:
        sys.path.remove(str(project.root))
    rebuilt(project, model_id)
    with running.running(project) as made:
        yield made


@pytest.fixture
def up(coast: Running) -> Running:
    """It is up; where a test before has left it down, it is started."""
    if coast.process is None:
        coast.start()
    return coast


def land(
    project: Project, key: str, spoil: Callable[[pd.DataFrame], pd.DataFrame | bytes] = lambda frame: frame
) -> None:
    """One day's file, as `spoil` leaves it."""
    elsewhere = project.root / "producer"
    (elsewhere / "incoming").mkdir(parents=True, exist_ok=True)
    written = write_day(elsewhere, date.fromisoformat(key))
    frame = pd.read_csv(written, parse_dates=["day", "asked_at"]).astype({"gauge": "category", "flooded": "int8"})
    made = spoil(frame)
    path = elsewhere / f"tides-{key}.parquet"
    path.write_bytes(made) if isinstance(made, bytes) else made.to_parquet(path, index=False)
    running.drop(path, project.root / "incoming")


def champion(project: Project) -> str | None:
    entry = ledger.champion_at(project, "local", "floods")
    return None if entry is None else entry.model_id


def kinds(project: Project) -> Counter[str]:
    return Counter(entry.kind for entry in ledger.history(project, "local", "floods"))


def test_two_promotions_racing_are_one_transition(up: Running) -> None:
    """Row 12: of one model. Two models race at the end of this file."""
    (model,) = refs.list_models(up.project, "floods")
    asked = {"ops": {"floods__champion": {"config": {"by": "ada", "reason": "a race"}}}}
    both = [up.launch("floods_promote", asked, dagster__partition=AS_OF.isoformat()) for _ in range(2)]
    assert up.ended(*both) == [dg.DagsterRunStatus.SUCCESS] * 2
    assert kinds(up.project)["promote"] == 1
    assert champion(up.project) == model.model_id
    until(lambda: len(scored_days(up.project, "floods", model.model_id)) == 3, "the days that are there to be scored")


def truncated(frame: pd.DataFrame) -> bytes:
    content = frame.to_parquet(index=False)
    assert content is not None
    return content[: len(content) // 2]


def nine_tenths_null(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(level=frame["level"].where(frame.index % 10 == 0))


def two_rows_wrong(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(level=frame["level"].where(frame.index > 1, 99.0))


# Day to what is wrong with its file, and a word that its finding must hold.
SPOILED: dict[int, tuple[Callable[[pd.DataFrame], pd.DataFrame | bytes], str]] = {
    30: (lambda frame: frame.drop(columns="level"), "'level' is missing"),
    31: (lambda frame: frame.rename(columns={"level": "height"}), "'level' is missing"),
    32: (lambda frame: frame.astype({"level": "str"}), "'level' is"),
    33: (lambda frame: frame.assign(level=frame["level"] * 1000), "level: in_range"),
    34: (lambda frame: frame.assign(gauge="east"), "gauge: isin"),
    35: (truncated, "not readable as Parquet"),
    36: (lambda frame: b"", "the file is empty"),
    37: (lambda frame: frame.iloc[:0], "no rows"),
    38: (lambda frame: frame.assign(day=frame["day"] - pd.Timedelta(days=30)), "are not of"),
    39: (lambda frame: pd.concat([frame, frame]), "copy of another"),
    40: (nine_tenths_null, "level is null in 90.0%"),
}


def test_a_day_that_lands_is_brought_in_scored_and_watched_and_a_broken_one_stops_nothing(
    up: Running,
    browser: Browser,  # noqa: F811
) -> None:
    """Rows 18, 19, 20; and the way of a good day, with nobody's help, as the pages show it."""
    project, serving = up.project, champion(up.project)
    assert serving is not None
    land(project, day(28))
    until(lambda: up.told("tides")[day(28)] == 1, "the day to be ingested")
    until((project.state.features / "floods" / f"{day(28)}.json").exists, "its features")
    until(lambda: day(28) in scored_days(project, "floods", serving), "its scores")
    until(lambda: up.told("floods", "drift")[day(28)] == 1, "its drift report")
    folder = verdicts.folder(project, "floods", serving)
    judged = verdicts.verdicts(folder)[-1]
    assert judged["keys"] == [day(28)]
    assert "scores" in judged["method"], "the champion's scores are judged beside its inputs"
    assert up.check("contract", "tides") is True
    picture(browser, f"{up.url}/assets/floods/drift?partition={day(28)}", "drift-of-a-day", "says", serving)
    picture(
        browser, f"{up.url}/assets/floods/predictions?partition={day(28)}", "predictions-of-a-day", serving, "champion"
    )

    for number, (spoil, _) in SPOILED.items():
        land(project, day(number), spoil)
    land(project, day(29), two_rows_wrong)
    land(project, day(41))  # it looks back on a broken day, and waits for it; the next one does not
    land(project, day(42), lambda frame: frame.loc[:, sorted(frame.columns)])
    until(lambda: {day(29), day(42)} <= scored_set(project, serving), "the good days to be scored all the same", 240)
    until(lambda: up.check("landed", "tides") is False, "the broken files to be reported")
    until(lambda: all(refused(up, number) for number in SPOILED), "each of them by name")
    for number, (_, word) in SPOILED.items():
        assert word in refused(up, number), day(number)
    assert not [run for run in up.runs("floods_watch") if run.status is dg.DagsterRunStatus.FAILURE]
    assert not [number for number in SPOILED if manifest_path(project.state.data, "tides", day(number)).exists()]
    assert quarantine_path(project.state.data, "tides", day(29)).exists()
    assert read_manifest(project.state.data, "tides", day(29)).quarantined_rows == 2, "set aside, the others are a day"
    assert champion(project) == serving
    assert (
        read_manifest(project.state.data, "tides", day(41)).columns
        == read_manifest(project.state.data, "tides", day(29)).columns
    )
    picture(browser, f"{up.url}/assets/tides?view=checks", "a-broken-day", "landed", "contract", "Failed")
    picture(
        browser,
        f"{up.url}/assets/tides?view=partitions&partition={day(29)}",
        "quarantined-rows",
        "quarantined rows",
        day(29),
    )
    browser.driver.set_window_size(2600, 1200)
    location = f"{project.package}.definitions"
    picture(browser, f"{up.url}/locations/{location}/asset-groups/floods", "the-line", "features", "drift", "champion")

    for number in SPOILED:
        land(project, day(number))
    until(lambda: {day(number) for number in SPOILED} <= scored_set(project, serving), "the mended days", 240)
    until(lambda: up.check("landed", "tides") is True, "nothing refused any more")


def scored_set(project: Project, model_id: str) -> set[str]:
    return set(scored_days(project, "floods", model_id))


def refused(up: Running, number: int) -> str:
    """What was found wrong with the day's file; empty as long as nothing was."""
    return "; ".join(
        finding["error"] for finding in up.findings("contract", "tides") if day(number) in finding["where"]
    )


def picture(browser: Browser, url: str, name: str, *texts: str) -> None:  # noqa: F811
    browser.open(url)
    browser.wait_for_text(*texts)
    time.sleep(1)  # Dagster fades its pages in
    browser.screenshot(name)


def test_three_runs_of_one_day_write_it_once(up: Running) -> None:
    """Row 12: the sensor's own, and two more that somebody starts beside it."""
    before = commits(up.project)
    land(up.project, day(43))
    span = {"dagster__asset_partition_range_start": day(43), "dagster__asset_partition_range_end": day(43)}
    both = [up.launch("tides_ingest", None, **span) for _ in range(2)]
    assert up.ended(*both) == [dg.DagsterRunStatus.SUCCESS] * 2
    until(lambda: all(run.is_finished for run in up.runs("tides_ingest")), "every ingest to end")
    records = up.instance.fetch_materializations(dg.AssetKey("tides"), limit=50).records
    states = [
        record.asset_materialization.metadata["state"].value
        for record in records
        if record.partition_key == day(43) and record.asset_materialization is not None
    ]
    assert states.count("written") == 1
    assert commits(up.project) == before + 1


def commits(project: Project) -> int:
    done = subprocess.run(
        ["git", "rev-list", "--count", "refs/mtac/data/tides"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_a_damaged_a_missing_and_a_half_pushed_object_are_refused_by_name_and_poison_nothing(up: Running) -> None:
    """Row 9, each alone."""
    project, serving = up.project, champion(up.project)
    assert serving is not None
    models = len(refs.list_models(project, "floods"))
    for number, spoil in (
        (10, one_byte_other),
        (11, lambda content: None),
        (12, lambda content: content[: len(content) // 2]),
    ):
        path = object_of(project, day(number))
        kept = path.read_bytes()
        path.chmod(0o644)
        spoiled = spoil(kept)
        path.unlink() if spoiled is None else path.write_bytes(spoiled)
        assert reproduce(up) == "impossible", day(number)
        newest = [entry for entry in ledger.history(project, "local", "floods") if entry.kind == "reproduction"][-1]
        assert day(number) in str(newest.evidence["why"])
        path.write_bytes(kept)
    assert len(refs.list_models(project, "floods")) == models
    assert champion(project) == serving
    assert reproduce(up) == "identical"


def one_byte_other(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def object_of(project: Project, key: str) -> Path:
    pointer = Pointer.parse((project.state.data / "tides" / f"{key}.parquet.dvc").read_bytes(), key)
    folder = Store.of(project).folder or project.state.remote
    (found,) = folder.rglob(f"{pointer.md5[:2]}/{pointer.md5[2:]}")
    return found


def reproduce(up: Running) -> str:
    run = up.launch("floods_reproduce", None, dagster__partition=AS_OF.isoformat())
    up.ended(run)
    entries = ledger.history(up.project, "local", "floods")
    return [entry for entry in entries if entry.kind == "reproduction"][-1].evidence["verdict"]


def test_a_host_that_dies_during_a_run_leaves_none_started(up: Running) -> None:
    """Row 6: the run's worker and the code server are killed at once; the run is failed and tried again."""
    land(up.project, day(44))
    until(lambda: started(up, "tides_ingest") is not None, "the ingest to be at work")
    run = started(up, "tides_ingest")
    assert run is not None
    for process in running.using(up.project.root):
        if "dagster api grpc" in running.command(process) or "dagster._cli api grpc" in running.command(process):
            running.kill(process, children=True)
    assert up.ended(run.run_id) == [dg.DagsterRunStatus.FAILURE]
    until(lambda: up.told("tides")[day(44)] >= 1, "the next run")
    until(lambda: not [each for each in up.runs("tides_ingest") if not each.is_finished], "no run to be left open")


def started(up: Running, job: str) -> dg.DagsterRun | None:
    return next((run for run in up.runs(job) if run.status is dg.DagsterRunStatus.STARTED), None)


def test_a_clock_that_jumps_a_day_back_and_forth_moves_nothing(up: Running) -> None:
    """Row 14."""
    project, serving = up.project, champion(up.project)
    for number, shift in ((45, "-86400"), (46, "+86400")):
        up.stop()
        up.start(MTAC_CLOCK=shift)
        land(project, day(number))
        until(lambda number=number: day(number) in scored_set(project, str(serving)), "the day to be scored")
        assert up.told("tides")[day(number)] == 1
    assert champion(project) == serving
    assert {day(45), day(46)} <= present(project.state.data, "tides").keys()
    assert ledger.verify(project, "local") == []
    up.stop()


def test_a_trainer_that_memory_does_not_suffice_for_is_named_and_tried_a_few_times(coast: Running) -> None:
    """Rows 24 and 13: every trainer is killed as the system does when memory runs out; then the daemon is, as soon as the
    next attempt is asked for. One challenger comes of it."""
    up, project, serving = coast, coast.project, champion(coast.project)
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace("triggers:\n", "triggers:\n  upstream: true\n"))
    up.stop()
    up.start()
    newer = [number for number in range(28, 32) if not manifest_path(project.state.data, "tides", day(number)).exists()]
    for number in newer:
        land(project, day(number))
    killed: list[int] = []
    done = threading.Event()

    def kill_trainers() -> None:
        while not done.wait(0.05):
            for process in running.using(project.root):
                # By its argument: one that was begun ahead of need is no `python -m`.
                if " mtac_assets.training " in running.command(process) + " ":
                    killed.append(process.pid)
                    running.kill(process)

    killer = threading.Thread(target=kill_trainers)
    killer.start()
    try:
        until(
            lambda: any(run.status is dg.DagsterRunStatus.FAILURE for run in up.runs("floods_line")),
            "a failed line",
            240,
        )
    finally:
        done.set()
        killer.join()
    (training,) = [run for run in up.runs("floods_train") if run.status is dg.DagsterRunStatus.FAILURE]
    stats = up.instance.get_run_step_stats(training.run_id, ["floods__model"])
    assert stats[0].attempts == 3, "bounded"
    assert "SIGKILL; the system ends processes so when memory runs out" in failure(up, training)
    first = up.runs("floods_line")

    until(lambda: len(up.runs("floods_line")) > len(first), "the next attempt to be asked for")
    up.daemon().kill()
    until(lambda: len(refs.list_models(project, "floods")) == 2, "the challenger", 240)
    until(lambda: not [run for run in up.runs("floods_line") if not run.is_finished], "the line to end")
    time.sleep(5)  # some ticks more: nothing is asked for again
    lines = up.runs("floods_line")
    assert len(lines) == len(first) + 1
    assert len({run.tags["dagster/run_key"] for run in lines}) == len(lines)
    assert champion(project) == serving


def failure(up: Running, run: dg.DagsterRun) -> str:
    """All that a run's failed steps said."""
    found: list[Any] = []
    for entry in up.instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event is not None and event.event_type is dg.DagsterEventType.STEP_FAILURE:
            found.append(event.step_failure_data.error)
    return str(found)


def test_days_that_drift_alarm_and_bring_a_challenger_but_no_champion(up: Running) -> None:
    """Data make the alarm, from the files to the line: no check is written by the test."""
    project, serving = up.project, champion(up.project)
    assert serving is not None
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace("  upstream: true\n", ""))
    up.stop()
    up.start()
    for number in range(28, 47):  # those that no test before has brought in
        if not manifest_path(project.state.data, "tides", day(number)).exists():
            land(project, day(number))
    until(lambda: day(46) in scored_set(project, serving), "the days before")
    for number in range(47, 50):
        land(project, day(number), lambda frame: frame.assign(level=frame["level"] / 2))  # in contract
    until(lambda: up.check("no_drift_alarm", "floods", "drift") is False, "the alarm")
    until(lambda: bool(by_drift(up)), "a line that drift asked for")
    until(lambda: all(run.is_finished for run in by_drift(up)), "its end")
    assert by_drift(up)[-1].status is dg.DagsterRunStatus.SUCCESS
    assert next(model.trigger for model in refs.list_models(project, "floods")) == "drift"
    last = verdicts.verdicts(verdicts.folder(project, "floods", serving))[-1]
    assert last["state"] == "ALARM"
    assert "level" in {one["column"] for one in last["components"] if one["drives"]}
    assert champion(project) == serving


def by_drift(up: Running) -> list[dg.DagsterRun]:
    return [run for run in up.runs("floods_line") if run.tags.get("mtac/trigger") == "drift"]


def test_a_challenger_that_differs_by_its_seed_alone_is_refused(up: Running) -> None:
    """Row 22: the daemon's own promotion asks the champion gate."""
    project, serving = up.project, champion(up.project)
    recipe = project.recipes()["floods"]
    kept = recipe.read_text()
    asked = [
        "run",
        "floods",
        "--as-of",
        AS_OF.isoformat(),
        "--set",
        "training.seed=8",
        "--by",
        "ada",
        "--reason",
        "luck",
    ]
    command = [sys.executable, "-m", "mtac_assets.cli", *asked]
    subprocess.run(command, cwd=project.root, check=True, capture_output=True)
    (lucky, *_) = refs.list_models(project, "floods")
    assert (lucky.actor, lucky.evidence["reason"]) == ("ada", "luck")
    rebuilt(project, lucky.model_id)
    recipe.write_text(kept.replace("gates:\n", "gates:\n  champion: {metric: log_loss}\n"))
    config = {"by": "ada", "reason": "a lucky seed", "model_id": lucky.model_id}
    run = up.launch(
        "floods_promote", {"ops": {"floods__champion": {"config": config}}}, dagster__partition=AS_OF.isoformat()
    )
    assert up.ended(run) == [dg.DagsterRunStatus.FAILURE]
    recipe.write_text(kept)
    newest = ledger.history(project, "local", "floods")[-1]
    assert (newest.kind, newest.model_id) == ("refuse", lucky.model_id)
    failed = [one["gate"] for one in newest.evidence["verdicts"] if not one["passed"]]
    assert failed == ["champion:log_loss"]
    assert champion(project) == serving


def rebuilt(project: Project, model_id: str) -> None:
    """The entries that a rebuild to the same bits leaves; that it is one, test_a_damaged_… shows."""
    evidence = {"verdict": "identical", "segments": "whole", "environment_differences": []}
    for kind in ("reproduction", "challenger"):
        ledger.append(
            project, "local", kind=kind, recipe="floods", model_id=model_id, actor="ada", reason="", evidence=evidence
        )


def test_of_two_models_racing_the_second_is_judged_against_the_first(up: Running) -> None:
    """Row 12."""
    project = up.project
    first, second, *_ = refs.list_models(project, "floods")
    before = kinds(project)["promote"]
    runs = []
    # The challenger of the drift is worse than the base rate on its drifted test days: here only the order is of interest.
    recipe = project.recipes()["floods"]
    kept = recipe.read_text()
    recipe.write_text(kept.replace("baseline: {name: base_rate, metric: log_loss}", "thresholds: []"))
    for model in (first, second):
        if model.model_id not in {
            e.model_id for e in ledger.history(project, "local", "floods") if e.kind == "challenger"
        }:
            rebuilt(project, model.model_id)
    for model in (first, second):
        assert model.as_of is not None
        config = {"by": "ada", "reason": "a race of two", "model_id": model.model_id}
        asked = {"ops": {"floods__champion": {"config": config}}}
        runs.append(up.launch("floods_promote", asked, dagster__partition=model.as_of))
    assert up.ended(*runs) == [dg.DagsterRunStatus.SUCCESS] * 2
    recipe.write_text(kept)
    assert kinds(project)["promote"] == before + 2
    earlier, later = [entry for entry in ledger.history(project, "local", "floods") if entry.kind == "promote"][-2:]
    assert {earlier.model_id, later.model_id} == {first.model_id, second.model_id}
    assert later.evidence["judged_against"] == earlier.model_id
    assert champion(project) == later.model_id


def test_no_process_is_left(up: Running) -> None:
    up.stop()
    until(
        lambda: not [each for each in running.using(up.project.root) if each.pid != psutil.Process().pid],
        "all to end",
        30,
    )
