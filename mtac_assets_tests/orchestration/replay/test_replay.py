"""Whole replays of the tides: real definitions, real files, real trainings, in a process of their own."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from mtac_assets.orchestration.replay.policies import Policy, chosen
from mtac_assets.orchestration.replay.replay import Stage, document_of, play_all, set_stage, write
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.errors import MtacError, SpecError
from mtac_assets.spec.project import Project
from mtac_assets_tests.tides import write_day


def replay(project: Project, first: int, last: int, *names: str, said: list[str] | None = None) -> dict[str, Any]:
    stage, policies = staged(project, first, last, *names)
    play_all(stage, policies, (said if said is not None else []).append)
    return document_of(stage, policies)


def staged(project: Project, first: int, last: int, *names: str) -> tuple[Stage, Sequence[Policy]]:
    policies = chosen(names)
    return set_stage(project, "floods", date(2024, 1, first), date(2024, 1, last), policies), policies


def table(document: dict[str, Any]) -> str:
    """Everything of the document but what the machine decides: seconds, and the commits of two different clones."""
    kept = copy.deepcopy({name: value for name, value in document.items() if name not in ("code", "tree")})
    for policy in kept["policies"]:
        del policy["seconds"], policy["cpu_seconds"]
        for training in policy["trainings"]:
            del training["cost"]
    return json.dumps(kept, indent=1, sort_keys=True)


def git(project: Project, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=project.root, capture_output=True, text=True, check=True).stdout


def test_days_land_and_nothing_of_the_users_is_touched(project: Project) -> None:
    (project.root / "incoming" / "tides-2024-01-03.csv").write_text("reading,day\n1,2024-01-03\n")
    before = git(project, "for-each-ref"), git(project, "status", "--porcelain")
    said: list[str] = []
    document = replay(project, 3, 5, "never", said=said)
    (never,) = document["policies"]
    assert (never["trainings_count"], document["compared"]["days"]) == (0, 0), "five days are too few to train on"
    arrived = never["arrivals"]["tides"]
    assert (arrived["landed"], arrived["partitions"]) == (3, 2)
    assert list(arrived["refused"]) == ["2024-01-03"]
    assert (git(project, "for-each-ref"), git(project, "status", "--porcelain")) == before
    assert not project.state.data.exists()
    assert not project.state.dagster.exists()
    again: list[str] = []
    assert table(replay(project, 3, 5, "never", said=again)) == table(document)
    assert again == ["never: played already"]
    data, page = write(document, project.root / "out")
    assert read_json(data)["schema_version"] == 1
    assert "nothing can be said" in page.read_text()


def test_what_cannot_be_played_is_refused_before_anything_is_played(project: Project) -> None:
    with pytest.raises(MtacError, match="lies before"):
        staged(project, 5, 3, "never")
    with pytest.raises(SpecError, match="fewer than 20 windows"):
        staged(project, 3, 5, "never", "drift")
    assert not project.state.replays.exists()


def test_a_policy_is_played_by_one_process_at_a_time(project: Project) -> None:
    stage, (never,) = staged(project, 3, 5, "never")
    place = stage.folder / "policies" / "never"
    place.mkdir(parents=True)
    with (place / "player.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(MtacError, match="another process"):
            play_all(stage, [never], lambda _: None)
    other = Policy("never", "another of the same name", sets=("triggers.upstream=true",))
    write_json(place / "policy.json", {"schema_version": 1, "digest": "of another"})
    with pytest.raises(MtacError, match="another policy was played"):
        play_all(stage, [other], lambda _: None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_policies_share_models_and_a_second_replay_tells_the_same(project: Project, tmp_path_factory) -> None:
    said: list[str] = []
    document = replay(project, 7, 10, "never", "nightly", said=said)
    never, nightly = document["policies"]
    assert (never["trainings_count"], never["promotions"]) == (1, 1)
    assert nightly["trainings_count"] > 1
    assert nightly["promotions"] == nightly["trainings_count"], "floods has no champion gate"
    assert never["trainings"][0]["model_id"] == nightly["trainings"][0]["model_id"]
    assert [line.startswith("never") for line in said if "trained" in line or "taken over" in line].count(True) == 1
    assert "taken over" in next(line for line in said if line.startswith("never") and "floods-" in line)
    assert any(line.startswith("nightly") and "taken over" in line for line in said), "the forerunner trained it"
    assert {training["trigger"] for training in nightly["trainings"]} == {"person", "schedule"}
    assert document["compared"]["days"] > 0
    assert nightly["against"]["log_loss"]["effect"] is not None
    champions = read_json(next(project.state.replays.glob("floods-*/policies/nightly/account.json")))["days"]
    for day in champions:
        served = next(training for training in nightly["trainings"] if training["model_id"] == day["champion"])
        assert served["as_of"] <= day["day"], "no champion serves a day that it has learned from"

    first = table(document)
    os.rename(project.state.replays, tmp_path_factory.mktemp("aside") / "replays")
    assert table(replay(project, 7, 10, "never", "nightly")) == first


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_shadow_period_is_played_to_its_end(project: Project) -> None:
    """The recipe asks for five live days beside the champion: the replay waits for them, and live rows decide."""
    last = 22
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    dataset.write_text(dataset.read_text().replace("end: 2024-01-14", f"end: 2024-01-{last}"))
    live = "  shadow: {days: 5, min_rows: 100, alpha: 0.2}\n  rollback: {window_days: 5, looks: 1, min_rows: 100}\n"
    recipe.write_text(recipe.read_text() + live)
    for day in range(15, last + 1):
        write_day(project.root, date(2024, 1, day))
    git(project, "add", ".")
    git(project, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "a shadow")
    (weekly,) = replay(project, 7, last, "weekly")["policies"]
    first, second, *_ = weekly["trainings"]
    by_live_rows = [one for one in weekly["decisions"] if one["by"] == "mtac watch"]
    assert [one["model_id"] for one in by_live_rows] == [second["model_id"]]
    (decided,) = by_live_rows
    entered, ended = (datetime.fromisoformat(one["at"]) for one in (second, decided))
    assert timedelta(days=4) < ended - entered < timedelta(days=6), "the fifth day lands on the sixth"
    assert decided["kind"] in ("promote", "refuse")
    assert weekly["decisions"][0] == weekly["decisions"][0] | {"kind": "promote", "model_id": first["model_id"]}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_inputs_that_drift_alarm_and_train_where_the_policy_asks_for_it(project: Project) -> None:
    """Days whose levels halve, from the fifth played on: drift alarms and asks for a model; never has no word of an alarm."""
    first, last = 25, 31
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    dataset.write_text(dataset.read_text().replace("end: 2024-01-14", f"end: 2024-01-{last}"))
    text = recipe.read_text().replace(
        "train_days: 5, validate_days: 1, test_days: 2", "train_days: 20, validate_days: 1, test_days: 3"
    )
    recipe.write_text(text + "  drift: {resamples: 600}\n  cooldown_hours: 0\n")
    for day in range(15, last + 1):
        write_day(project.root, date(2024, 1, day), level_factor=0.5 if day >= first + 2 else 1.0)
    git(project, "add", ".")
    git(project, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "a drift")
    never, drift = replay(project, first, last, "never", "drift")["policies"]
    assert (never["trainings_count"], never["alarms_count"]) == (1, None)
    assert drift["trainings"][0]["model_id"] == never["trainings"][0]["model_id"]
    assert drift["alarms_count"] >= 1
    (alarm, *_) = drift["alarms"]
    assert alarm["kind"] == "drift"
    assert alarm["model_id"] == drift["trainings"][0]["model_id"]
    assert "level" in alarm["says"]
    assert [one["trigger"] for one in drift["trainings"]][:2] == ["person", "drift"]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.timeout(900)
def test_an_interrupted_replay_goes_on_and_trains_nothing_twice(project: Project, tmp_path_factory) -> None:
    whole = table(replay(project, 7, 9, "nightly"))
    os.rename(project.state.replays, tmp_path_factory.mktemp("aside") / "replays")
    stage, (nightly,) = staged(project, 7, 9, "nightly")
    place = stage.folder / "policies" / "nightly"
    killed = threading.Thread(target=_kill_once_training, args=(place,))
    killed.start()
    with pytest.raises(MtacError, match="ended with code 137"):
        play_all(stage, [nightly], lambda _: None)
    killed.join()
    said: list[str] = []
    play_all(stage, [nightly], said.append)
    assert table(document_of(stage, [nightly])) == whole


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.timeout(600)
def test_a_replay_that_is_killed_leaves_no_process_behind(project: Project) -> None:
    """Neither its player, nor the forerunner, nor the training that this one is at."""
    command = [sys.executable, "-m", "mtac_assets.cli", "replay", "floods", "--policy", "nightly"]
    killed = subprocess.Popen([*command, "--from", "2024-01-07", "--to", "2024-01-14"], cwd=project.root)
    _wait_for_training(project.state.replays, "*/policies/nightly/")
    assert {"ahead", "checkout"} <= {Path(at).name for at in _playing(project)}
    killed.kill()
    killed.wait()
    until = time.monotonic() + 10
    while _playing(project) and time.monotonic() < until:
        time.sleep(0.1)
    assert _playing(project) == []


def _playing(project: Project) -> list[str]:
    """Where the processes are that work in a checkout of a replay."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(project.state.replays.absolute()):
                found.append(process.cwd())
    return found


def _kill_once_training(place: Path) -> None:
    """SIGKILL to the player as soon as the first pack is being written, by itself or by the forerunner."""
    _wait_for_training(place)
    os.kill(int((place / "player.pid").read_text()), signal.SIGKILL)


def _wait_for_training(folder: Path, place: str = "") -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and not list(folder.glob(f"{place}[ac]*/.mtac/models/floods-*/progress.jsonl")):
        time.sleep(0.02)
