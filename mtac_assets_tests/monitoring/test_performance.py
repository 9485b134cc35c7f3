"""Live performance of a real model: good days are OK, days whose labels no longer follow the level end in an alarm."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from mtac_assets.data.ingest import ingest
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.performance import Window, performance, with_persistence
from mtac_assets.monitoring.performance_plot import draw
from mtac_assets.monitoring.predictions import score_days
from mtac_assets.monitoring.stored_predictions import read_scores
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.recipe import PerformanceTrigger
from mtac_assets_tests.monitoring.conftest import Watched, change_outcomes

# Windows of the champion: 12 to 15 January, 16 to 19, 20 to 23, and 24 to 27, which the data does not reach the end of.
SETTINGS = PerformanceTrigger(window_days=4, min_rows=300, alpha=0.05, persistence=2)
FLIPPED = {"0": "1", "1": "0"}


def _scored(watched: Watched, days: list[str]) -> None:
    ingest(watched.project, "tides", days)
    score_days(watched.project, watched.champion, days)


def test_an_unchanged_world_is_ok_and_the_open_window_waits(watched: Watched, tmp_path: Path):
    _scored(watched, watched.live)
    found = performance(watched.project, watched.champion, watched.live, SETTINGS)
    assert [window.state for window in found.windows] == ["OK", "OK", "OK", "INSUFFICIENT"]
    assert found.state == "OK"
    assert found.windows[0].first == "2024-01-12"
    assert found.windows[3].reason == "open until 2024-01-27: 1 of 4 days so far"
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["schema_version"] == 1
    curve = read_json(watched.project.state.models / watched.champion / "training.json")["curve"]
    (*_, last) = [point["validation"]["log_loss"] for point in curve if "validation" in point]
    assert document["reference"]["validation"] == last, "shown beside the test rows, which decide"
    picture = draw(document, tmp_path / "performance.svg")
    words = [each.text for each in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert f"{watched.champion}: log loss on live labels (OK), less is better" in words
    assert "OK (3)" in words
    assert picture.stat().st_size < 30_000


def test_its_numbers_are_those_of_the_rows(watched: Watched):
    _scored(watched, watched.live)
    window = performance(watched.project, watched.champion, watched.live, SETTINGS).windows[1]
    days = [f"2024-01-{day}" for day in range(16, 20)]
    tables = [table for _, table in read_scores(watched.project, "floods", watched.champion, days).values()]
    labels = np.concatenate([table["label"].to_numpy() for table in tables])
    scores = np.concatenate([table["score"].to_numpy() for table in tables])
    assert (window.rows, window.labelled, window.days_there) == (480, 480, 4)
    assert window.metrics is not None
    assert window.metrics["log_loss"]["value"] == pytest.approx(log_loss(labels, scores))
    assert window.metrics["roc_auc"]["value"] == pytest.approx(roc_auc_score(labels, scores))
    assert window.metrics["log_loss"]["low"] < window.metrics["log_loss"]["value"] < window.metrics["log_loss"]["high"]
    assert window.base_rate == pytest.approx(labels.mean())
    assert window.base_rate_loss == pytest.approx(log_loss(labels, np.full(len(labels), labels.mean())))
    assert [entry["day"] for entry in window.by_day] == days


def test_another_answer_to_the_same_inputs_is_first_watched_and_then_an_alarm(watched: Watched):
    for day in watched.live[4:]:
        change_outcomes(watched.root, day, FLIPPED.__getitem__)
    _scored(watched, watched.live)
    found = performance(watched.project, watched.champion, watched.live, SETTINGS)
    assert [window.state for window in found.windows] == ["OK", "WATCH", "ALARM", "INSUFFICIENT"]
    assert found.state == "ALARM"
    difference = found.windows[2].difference
    assert difference is not None
    assert 0 < difference["low"] < difference["effect"]
    # What is not worth an alarm is none, however sure it is.
    tolerant = SETTINGS.model_copy(update={"min_effect": 100.0})
    assert performance(watched.project, watched.champion, watched.live, tolerant).state == "OK"


def test_labels_that_arrive_later_update_the_window_they_belong_to(watched: Watched):
    late = watched.live[8:12]  # 20 to 23 January
    known = {day: (watched.root / "incoming" / f"tides-{day}.csv").read_text() for day in late}
    for day in late:
        change_outcomes(watched.root, day, lambda _: "")
    _scored(watched, watched.live)
    before = performance(watched.project, watched.champion, watched.live, SETTINGS)
    assert before.windows[2].state == "INSUFFICIENT"
    assert (before.windows[2].labelled, before.windows[2].reason) == (0, "no row has a label")
    for day in late[:2]:
        (watched.root / "incoming" / f"tides-{day}.csv").write_text(known[day])
    ingest(watched.project, "tides", late)
    with pytest.raises(MonitoringError, match=f"tides/{late[0]} changed"):
        performance(watched.project, watched.champion, watched.live, SETTINGS)
    _scored(watched, watched.live)
    some = performance(watched.project, watched.champion, watched.live, SETTINGS).windows
    assert (some[2].labelled, some[2].reason) == (240, "240 labelled rows; 300 are needed")
    for day in late[2:]:
        (watched.root / "incoming" / f"tides-{day}.csv").write_text(known[day])
    _scored(watched, watched.live)
    after = performance(watched.project, watched.champion, watched.live, SETTINGS)
    assert (after.windows[2].labelled, after.windows[2].state) == (480, "OK")
    assert after.windows[:2] == before.windows[:2]


def test_days_that_were_not_scored_or_are_not_live_are_named(watched: Watched):
    with pytest.raises(MonitoringError, match="not scored"):
        performance(watched.project, watched.champion, watched.live, SETTINGS)
    with pytest.raises(MonitoringError, match="not live"):
        performance(watched.project, watched.champion, ["2024-01-11"], SETTINGS)


def test_a_damaged_report_is_no_reference(watched: Watched):
    _scored(watched, watched.live)
    scores = watched.project.state.reports / watched.champion / "scores.parquet"
    scores.write_bytes(scores.read_bytes()[:-1])
    with pytest.raises(EvaluationError, match="damaged"):
        performance(watched.project, watched.champion, watched.live, SETTINGS)


@given(states=st.lists(st.sampled_from(["OK", "WATCH", "INSUFFICIENT"]), max_size=20), needed=st.integers(1, 4))
def test_an_alarm_is_the_nth_worse_window_with_no_good_one_between(states: list, needed: int):
    judged = [Window("2024-01-01", "2024-01-07", 7, 7, 10, 10, state) for state in states]
    found = [window.state for window in with_persistence(judged, needed)]
    for place, (before, after) in enumerate(zip(states, found, strict=True)):
        since = states[: place + 1]
        good = [n for n, state in enumerate(since) if state == "OK"]
        worse = since[(good[-1] + 1 if good else 0) :].count("WATCH")
        assert after == ("ALARM" if before == "WATCH" and worse >= needed else before)
