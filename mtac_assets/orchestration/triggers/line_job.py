"""The job that triggers start: the whole line of one as-of date, from days that are pending to the report.

Its one step does what `mtac run` does, in runs of their own that the UI shows beside it: the plan says what is stale, so
starting it twice costs nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.jobs import MAX_RUNTIME_TAG, RECIPE_TAG, line_name
from mtac_assets.orchestration.sizes import pod_tags
from mtac_assets.orchestration.triggers.sources import pending_sources
from mtac_assets.orchestration.triggers.tags import (
    ACTOR_TAG,
    EVIDENCE_TAG,
    PERSON,
    REASON_TAG,
    TRIGGER_TAG,
    person_tags,
)
from mtac_assets.provenance.turns import turn
from mtac_assets.spec.load import load_recipe

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.project import Project

STAGES = 3  # ingest, features, training: each with the environment's limit
PASSED_ON = (ACTOR_TAG, EVIDENCE_TAG, REASON_TAG)
LINE_RUN_TAG = "mtac/line_run"


class LineConfig(dg.Config):
    """Which model to bring up to date; where a person asks, who and why. As the options of `mtac run`."""

    as_of: str | None = Field(default=None, description="The moment the model may know, YYYY-MM-DD.")
    by: str = Field(default="", description="The person who asks; part of the model's record.")
    reason: str = Field(default="", description="Why; part of the model's record.")


def step_name(recipe: str) -> str:
    """The job's one step; Dagster wants its name to be the only one of all jobs."""
    return f"{recipe}_bring_up_to_date"


def line_config(recipe: str, as_of: str | None) -> dict[str, Any]:
    """The run configuration for one as-of date; None for a recipe without time."""
    return {"ops": {step_name(recipe): {"config": {"as_of": as_of}}}}


def line_job(place: "RecipePlace") -> dg.JobDefinition:
    """`<recipe>_line`: ingest what is pending, compute what is stale, train and judge."""
    project, name = place.project, place.name

    @dg.op(
        name=step_name(name), description="What `mtac run` does: the runs that the plan asks for, one after the other."
    )
    def bring_up_to_date(context: dg.OpExecutionContext, config: LineConfig) -> None:
        from mtac_assets.orchestration.line import run_line
        from mtac_assets.orchestration.triggers.sources import refused_sources

        sign(context)
        with as_failure(), _alone(project, name):
            as_of = date.fromisoformat(config.as_of) if config.as_of is not None else None
            resolved = load_recipe(project, place.folder / "recipe.yaml", (), as_of)
            refused = refused_sources(project, context.instance, resolved)
            result = run_line(
                project,
                resolved,
                echo=context.log.info,
                trigger=context.run.tags.get(TRIGGER_TAG, PERSON),
                tags=_passed_on(context.run.tags)
                | person_tags(config.by, config.reason)
                | {LINE_RUN_TAG: context.run.run_id},
                ingest=pending_sources(project, resolved, refused),
            )
        context.log.info(f"{result.model_id} is up to date, by {len(result.dagster_run_ids)} runs")

    @dg.job(
        name=line_name(name),
        description=f"Bring `{name}` up to date for one as-of date: ingest, features, training, report.",
        tags={RECIPE_TAG: name},
        run_tags={
            **pod_tags(project, place.recipe, stages=STAGES),
            RECIPE_TAG: name,
            MAX_RUNTIME_TAG: str(STAGES * project.environment.limits.run_seconds),
        },
        executor_def=dg.in_process_executor,
    )
    def line() -> None:
        bring_up_to_date()

    return line


def _passed_on(tags: Mapping[str, str]) -> dict[str, str]:
    return {tag: tags[tag] for tag in PASSED_ON if tag in tags}


@contextmanager
def _alone(project: "Project", recipe: str) -> Iterator[None]:
    """One line of a recipe at a time; a second one waits, and then finds everything up to date."""
    with turn(project.state.locks / f"line-{recipe}.lock"):
        yield
