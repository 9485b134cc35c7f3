"""A champion is watched: new days are scored, corrected ones again, and an alarm asks for a challenger and nothing more."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta

import dagster as dg
import pytest

from mtac_assets.monitoring.stored_predictions import scored_days
from mtac_assets.orchestration.line import ingest_days, run_line
from mtac_assets.promotion.decide import promote
from mtac_assets.promotion.reproduce import Request, reproduce
from mtac_assets.provenance import ledger
from mtac_assets.provenance.files import RACY_NS
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.tides import write_day

AS_OF = date(2024, 1, 7)
DAYS = [(date(2024, 1, 1) + timedelta(days=offset)).isoformat() for offset in range(14)]
PERFORMANCE = "  performance: {window_days: 3, min_rows: 10}\n"


pytestmark = pytest.mark.slow


@pytest.fixture
def watched(daemon):
    """Floods as of 2024-01-07, promoted, with a performance trigger; days until the 11th are there."""
    recipe = daemon.project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace("test_days: 2", "test_days: 3") + PERFORMANCE)
    daemon.start_again()
    for day in DAYS[:11]:
        write_day(daemon.project.root, date.fromisoformat(day))
    project = daemon.project
    model_id = run_line(project, load_recipe(project, "floods", (), AS_OF)).model_id
    skipped = daemon.tick("floods_watch")
    assert "no champion" in skipped.skip_message
    assert reproduce(project, model_id, Request(), actor="Ada").verdict == "identical"
    assert promote(project, model_id, by="Ada", reason="the first").promoted
    ingest_days(project, "tides", DAYS[:11])
    return daemon, model_id


def bring_in(daemon, days) -> None:
    """Ingested and with features, as the arrival and follow-up sensors do."""
    ingest_days(daemon.project, "tides", days)
    daemon.run(daemon.tick("floods_follow_up").run_requests)


def test_days_are_scored_as_they_come_and_an_alarm_asks_for_a_challenger(watched):
    daemon, model_id = watched
    project = daemon.project
    daemon.run(daemon.tick("floods_follow_up").run_requests)

    asked = daemon.tick("floods_watch").run_requests
    assert [request.job_name for request in asked] == ["floods_watch"]
    (told,) = daemon.tick("floods_watch").asset_events
    assert (told.asset_key.path, told.partition) == (["floods", "champion"], AS_OF.isoformat()), "promoted elsewhere"
    daemon.instance.report_runless_asset_event(told)
    assert daemon.tick("floods_watch").asset_events == []
    again = daemon.tick("floods_watch", keep_cursor=False).run_requests
    assert [request.run_key for request in again] == [request.run_key for request in asked]
    assert daemon.run(asked) == [None]
    assert scored_days(project, "floods", model_id) == tuple(DAYS[6:11])

    judged = daemon.tick("floods_watch").run_requests
    assert [request.job_name for request in judged] == ["floods_performance"]
    assert daemon.run(judged) == [None]
    time.sleep(RACY_NS / 1e9)  # a folder that was written just now proves nothing
    again = daemon.tick("floods_watch", keep_cursor=False).run_requests
    assert [request.run_key for request in again] == [judged[0].run_key]
    assert "since the last look" in daemon.tick("floods_watch").skip_message, "what was asked for is asked for no more"
    daemon.start_again()
    for _ in range(2):  # the first look of a process learns which folders to look at
        assert daemon.tick("floods_watch").run_requests, "a new process looks for itself"
    assert "since the last look" in daemon.tick("floods_watch").skip_message

    daemon.later(hours=1)
    write_day(project.root, date.fromisoformat(DAYS[9]), level_factor=0.9)
    bring_in(daemon, [DAYS[9]])
    corrected = daemon.tick("floods_watch").run_requests
    assert json.loads(corrected[0].tags[".dagster/mtac-work"]).keys() == {DAYS[9], DAYS[10]}, (
        "the 11th looks back on the 10th"
    )
    assert daemon.run(corrected) == [None]

    assert "no alarm" in daemon.tick("floods_alarm").skip_message
    alarm(daemon.instance, "some-other-model")
    assert "no alarm" in daemon.tick("floods_alarm").skip_message, "an alarm on a former champion asks for nothing"
    alarm(daemon.instance, model_id)
    daemon.later(hours=24)
    (challenger,) = daemon.tick("floods_alarm").run_requests
    assert challenger.job_name == "floods_line"
    assert challenger.tags["mtac/trigger"] == "performance"
    assert json.loads(challenger.tags["mtac/evidence"])["alarms"]["performance"]["model_id"] == model_id
    champion = ledger.champion_at(project, "local", "floods")
    assert champion is not None
    assert champion.model_id == model_id, "an alarm never promotes"


def alarm(instance: dg.DagsterInstance, model_id: str) -> None:
    """What the performance asset's check says on the day that it alarms."""
    said = {"state": "ALARM", "Model ID": model_id, "last day": DAYS[10], "says": "ALARM: log loss 1.2"}
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["floods", "performance"]),
            check_name="no_performance_alarm",
            passed=False,
            metadata={name: dg.MetadataValue.text(value) for name, value in said.items()},
        )
    )
