"""The one door to a training that no person asked for: every trigger knocks here, and all share its limits.

An alarm asks for a challenger and never for a promotion. What was tried, when, and how it ended is read from Dagster's runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.data.readers.state import source_state
from mtac_assets.orchestration.jobs import RECIPE_TAG, line_name
from mtac_assets.orchestration.triggers.attempts import Attempt, Patience, attempts, failures_in_a_row
from mtac_assets.orchestration.triggers.line_job import line_config
from mtac_assets.orchestration.triggers.sources import newest_trainable, pending_sources, refused_sources
from mtac_assets.orchestration.triggers.tags import AS_OF_TAG, PERSON, SCHEDULE, SUBJECT_TAG, TRIGGER_TAG, request_tags
from mtac_assets.provenance import plan as planning
from mtac_assets.provenance.digest import digest_json
from mtac_assets.spec import clock
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe

if TYPE_CHECKING:
    from mtac_assets.provenance.plan import Plan
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.recipe import Triggers
    from mtac_assets.spec.resolved import ResolvedRecipe

NAMED = 3


def request_challenger(
    project: Project, recipe: str, trigger: str, evidence: Mapping[str, Any], *, instance: dg.DagsterInstance
) -> dg.RunRequest | dg.SkipReason:
    """A run of the recipe's line for its newest as-of date, or why none starts now.

    `trigger` is one word (schedule, upstream, drift, performance); `evidence` plain JSON values. Both go into the run's tags
    and from there into the model's record. Raises SpecError where the recipe cannot be read.
    """
    triggers = check_recipe(project, recipe).triggers
    history = attempts(project, instance, line_name(recipe), {RECIPE_TAG: recipe})
    now = clock.now()
    held = _held(recipe, history, triggers, trigger, now)
    if held is not None:
        return dg.SkipReason(held)
    refused = refused_sources(project, instance, load_any(project, recipe))
    newest = newest_trainable(project, recipe, refused)
    lacking = _lacking(newest.lacking)
    if newest.resolved is None:
        return dg.SkipReason(f"no as-of date of {recipe} can be trained yet: {lacking or 'not enough days'}")
    resolved = newest.resolved
    incoming = pending_sources(project, resolved, refused)
    plan = planning.plan(project, resolved)
    as_of = resolved.as_of.isoformat() if resolved.as_of is not None else None
    if plan.up_to_date and not incoming:
        date = f" as of {as_of}" if as_of else ""
        return dg.SkipReason(
            f"{plan.model_id} is up to date{date}: its fingerprint did not change" + (f"; {lacking}" if lacking else "")
        )
    subject = _subject(project, plan, incoming, as_of)
    tried = [each for each in history if each.tags.get(SUBJECT_TAG) == subject]
    failures = sum(not each.succeeded for each in tried)
    if failures >= triggers.backoff.attempts:
        return dg.SkipReason(
            f"{recipe} {subject[:12]} failed {failures} times; not tried again until something changes or a person asks"
        )
    reason = _reason(project, recipe, plan, incoming)
    return dg.RunRequest(
        run_key=f"{recipe}:{subject[:12]}:{len(tried) + 1}",
        job_name=line_name(recipe),
        run_config=line_config(recipe, as_of),
        tags={
            RECIPE_TAG: recipe,
            SUBJECT_TAG: subject,
            **({AS_OF_TAG: as_of} if as_of else {}),
            **request_tags(trigger, evidence={**evidence, "why": reason}, reason=reason),
        },
    )


def load_any(project: Project, recipe: str) -> ResolvedRecipe:
    """The recipe resolved for no particular date: its first one."""
    checked = check_recipe(project, recipe)
    if checked.window is None:
        return load_recipe(project, recipe)
    rows = load_dataset(project, checked.data.rows).partitions
    assert rows.kind == "daily", "spec refuses a window over rows without days"
    return load_recipe(project, recipe, as_of=rows.start + timedelta(days=checked.window.train_days))


def _held(recipe: str, history: Sequence[Attempt], triggers: Triggers, trigger: str, now: datetime) -> str | None:
    """Why no training may start, whatever it would be of."""
    running = next((each for each in history if not each.finished), None)
    if running is not None:
        return f"{recipe} is being trained by run {running.run_id[:8]}"
    # Runs that a person started in the UI carry no trigger. They count for nothing here but their success.
    started = [each for each in history if each.tags.get(TRIGGER_TAG, PERSON) != PERSON]
    today = sum(each.requested.date() == now.date() for each in started)
    if today >= triggers.daily_budget:
        return f"the daily budget of {recipe} is spent: triggers started {today} of {triggers.daily_budget} trainings today"
    failures = failures_in_a_row(history)
    if failures:
        patience = Patience(triggers.backoff.attempts, timedelta(minutes=triggers.backoff.first_minutes))
        until = history[0].ended + patience.wait(failures)
        if now < until:
            count = "once" if failures == 1 else f"{failures} times in a row"
            return f"{recipe} failed {count} (run {history[0].run_id[:8]}); next attempt at {until:%Y-%m-%d %H:%M} UTC"
    if started and trigger != SCHEDULE:
        until = started[0].requested + timedelta(hours=triggers.cooldown_hours)
        if now < until:
            return f"{recipe} cools down until {until:%Y-%m-%d %H:%M} UTC, {triggers.cooldown_hours:g} hours after the last training"
    return None


def _subject(project: Project, plan: Plan, incoming: Mapping[str, Sequence[str]], as_of: str | None) -> str:
    """The fingerprint, or what stands for it while the data that would decide it is not ingested."""
    if plan.declaration is not None and not incoming:
        return plan.declaration.fingerprint
    states = {
        name: {
            key: source.state for key, source in source_state(load_dataset(project, name), keys, project.root).items()
        }
        for name, keys in incoming.items()
    }
    steps = [[step.asset, list(step.partitions), step.reason] for step in plan.steps]
    return digest_json({"as_of": as_of, "incoming": states, "steps": steps})


def _reason(project: Project, recipe: str, plan: Plan, incoming: Mapping[str, Sequence[str]]) -> str:
    """Which leaf changed, in a sentence."""
    parts = [f"{_days(keys)} of {name} to ingest" for name, keys in incoming.items()]
    if plan.declaration is not None:
        newest = planning.since_newest(project, recipe, plan.declaration)
        model = next((step.reason for step in plan.steps if step.asset == f"{recipe}/model"), None)
        if model is None and plan.steps:
            parts.append(plan.steps[-1].reason)
        elif model is not None:
            parts.append(newest if newest is not None else model)
    elif not parts:
        parts = [f"{step.asset}: {step.reason}" for step in plan.steps[:NAMED]]
    return "; ".join(parts)


def _days(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{len(keys)} partitions ({keys[0]} to {keys[-1]})"


def _lacking(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"newer dates lack {', '.join(names[:NAMED])}{more}"
