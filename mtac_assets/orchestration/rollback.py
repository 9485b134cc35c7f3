"""Taking a champion back from the UI: the same decision as `mtac rollback`. A job, for it makes nothing new."""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.jobs import RECIPE_TAG, executor
from mtac_assets.spec.errors import CheckFailed, Finding

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace


class Rollback(dg.Config):
    """Who takes the champion back, and why. As the options of `mtac rollback`."""

    by: str = Field(min_length=1, description="The person who asks; where approval is needed, one who may approve.")
    reason: str = Field(min_length=1, description="Why; kept in the ledger.")


def rollback_job(place: "RecipePlace") -> dg.JobDefinition:
    """Make the champion before the present one champion again; the run fails where the ledger refuses it."""
    name = f"{place.name}_rollback"

    @dg.op(name=f"{name}_decision")
    def decide(context: dg.OpExecutionContext, config: Rollback) -> None:
        from mtac_assets.promotion.decide import rollback

        sign(context)
        with as_failure():
            decision = rollback(place.project, place.name, by=config.by, reason=config.reason)
            for warning in decision.warnings:
                context.log.warning(warning)
            if not decision.promoted:
                failed = [verdict for verdict in decision.verdicts if not verdict.passed]
                raise CheckFailed(
                    *(
                        Finding(verdict.reason, f"gate {verdict.gate}", "a gate that passes", "see `mtac history`")
                        for verdict in failed
                    )
                )
        context.log.info(f"{decision.model_id} is the champion again, instead of {decision.previous}")

    @dg.job(
        name=name,
        description=f"Make the former champion of `{place.name}` champion again.",
        tags={RECIPE_TAG: place.name},
        executor_def=executor(place.project),
    )
    def take_back() -> None:
        decide()

    return take_back
