"""One door to a training nobody asked for: up to date, cooldown, budget, backoff, and what the model's record says of it."""

from __future__ import annotations

import json
from datetime import date, timedelta

import dagster as dg
import pytest

from mtac_assets.orchestration.triggers.challenger import request_challenger
from mtac_assets.orchestration.triggers.tags import REQUESTED_TAG, SUBJECT_TAG, TRIGGER_TAG
from mtac_assets.provenance.refs import list_models
from mtac_assets.spec import clock
from mtac_assets_tests.tides import write_day


@pytest.fixture
def floods(daemon):
    """All days landed, none ingested."""
    for offset in range(14):
        write_day(daemon.project.root, date(2024, 1, 1) + timedelta(days=offset))

    def ask(trigger="drift", **evidence):
        return request_challenger(daemon.project, "floods", trigger, evidence, instance=daemon.instance)

    daemon.ask = ask
    return daemon


def finished(daemon, request: dg.RunRequest, *, success: bool = True) -> None:
    """The run that `request` asked for, over in a moment."""
    job = daemon.repository.get_job(request.job_name)
    run = daemon.instance.create_run_for_job(job, tags={**job.run_tags, **request.tags})
    if success:
        daemon.instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_SUCCESS))
    else:
        daemon.instance.report_run_failed(run)


def _event(run, kind):
    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

    event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
    return EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run.run_id,
        timestamp=clock.now().timestamp(),
        dagster_event=event,
    )


def test_a_failing_recipe_never_spins(floods):
    first = floods.ask()
    assert isinstance(first, dg.RunRequest)
    assert first.tags[TRIGGER_TAG] == "drift"
    finished(floods, first, success=False)
    floods.later(minutes=29)
    assert "failed once" in floods.ask().skip_message
    floods.later(hours=6)
    second = floods.ask()
    assert second.run_key == first.run_key.removesuffix(":1") + ":2"
    finished(floods, second, success=False)
    floods.later(minutes=59)
    assert "failed 2 times in a row" in floods.ask().skip_message
    floods.later(days=10)
    assert "not tried again until something changes" in floods.ask().skip_message
    write_day(floods.project.root, date(2024, 1, 13), level_factor=0.5)
    assert floods.ask().tags[SUBJECT_TAG] != first.tags[SUBJECT_TAG]


def test_cooldown_and_budget_count_all_triggers_together(floods):
    recipe = floods.project.recipes()["floods"]
    floods.moment = floods.moment.replace(hour=1, minute=0) + timedelta(days=1)
    finished(floods, floods.ask("drift"))
    floods.later(hours=5)
    assert "cools down until" in floods.ask("performance").skip_message
    assert isinstance(floods.ask("schedule"), dg.RunRequest)  # keeps its own times
    floods.later(hours=2)
    finished(floods, floods.ask("performance"))
    floods.later(hours=7)
    finished(floods, floods.ask("upstream"))
    floods.later(hours=7)
    assert "daily budget of floods is spent: triggers started 3 of 3" in floods.ask("schedule").skip_message
    floods.later(hours=3)  # the next day
    assert isinstance(floods.ask("upstream"), dg.RunRequest)
    recipe.write_text(recipe.read_text().replace("cooldown_hours: 6", "cooldown_hours: 60"))
    assert "cools down" in floods.ask("upstream").skip_message


def test_one_training_of_a_recipe_at_a_time(floods):
    request = floods.ask()
    job = floods.repository.get_job(request.job_name)
    run = floods.instance.create_run_for_job(job, tags={**job.run_tags, **request.tags})
    assert run.run_id[:8] in floods.ask("schedule").skip_message


def test_the_newest_date_that_can_be_trained(floods):
    assert floods.ask().tags["mtac/as_of"] == "2024-01-13"
    (floods.project.root / "incoming" / "tides-2024-01-14.csv").unlink()
    assert floods.ask().tags["mtac/as_of"] == "2024-01-12"
    (floods.project.root / "incoming" / "tides-2024-01-09.csv").unlink()
    assert floods.ask().tags["mtac/as_of"] == "2024-01-07"
    (floods.project.root / "incoming" / "tides-2024-01-03.csv").unlink()
    assert "newer dates lack tides/2024-01-14" not in floods.ask().skip_message
    assert "no as-of date of floods can be trained yet" in floods.ask().skip_message


@pytest.mark.slow
def test_a_line_ends_in_a_model_that_names_its_trigger(floods):
    request = floods.ask("drift", columns=["level"])
    assert floods.run([request]) == [None]
    (model,) = list_models(floods.project, "floods")
    assert (model.trigger, model.as_of) == ("drift", "2024-01-13")
    assert model.evidence["columns"] == ["level"]
    assert "tides" in model.evidence["why"]
    floods.later(hours=7)
    up_to_date = floods.ask()
    assert up_to_date.skip_message == f"{model.model_id} is up to date as of 2024-01-13: its fingerprint did not change"
    schedule = floods.repository.get_schedule_def("floods_schedule")
    context = dg.build_schedule_context(
        instance=floods.instance, scheduled_execution_time=floods.moment, repository_def=floods.repository
    )
    ticked = schedule.evaluate_tick(context)
    assert "its fingerprint did not change" in ticked.skip_message
    # A corrected day in the landing folder: ingested first, then the leaf that changed is named.
    write_day(floods.project.root, date(2024, 1, 10), level_factor=0.9)
    (again,) = schedule.evaluate_tick(context).run_requests
    assert "2024-01-10 of tides to ingest" in again.tags["mtac/reason"]
    floods.run(floods.tick("tides_arrival").run_requests)
    (upstream,) = floods.tick("floods_upstream").run_requests
    evidence = json.loads(upstream.tags["mtac/evidence"])
    assert evidence["datasets"]["tides"]["corrected"] == {"days": 1, "first": ["2024-01-10"]}
    assert evidence["why"] == f"since {model.model_id}: data.tides/2024-01-10 changed"
    followed = floods.tick("floods_follow_up")
    (marked,) = followed.asset_events
    assert marked.partition == "2024-01-13"
    assert marked.metadata["corrected"].value == "tides/2024-01-10"
    assert floods.tick("floods_follow_up").asset_events == []
    assert set(floods.run(followed.run_requests)) == {None}
    assert floods.run([upstream]) == [None]
    assert [each.trigger for each in list_models(floods.project, "floods")] == ["upstream", "drift"]
    assert REQUESTED_TAG in upstream.tags
