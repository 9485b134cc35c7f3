"""A recipe's champion: a person asks that one as-of date's model be promoted, the gates decide, the ledger keeps it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.assets.model import MODEL_ID_TAG
from mtac_assets.orchestration.assets.training_set import as_of
from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partitions import as_of_partitions
from mtac_assets.orchestration.recorded import recorded_model

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.promotion.transition import Decision

GATES_CHECK = "gates"


class Approval(dg.Config):
    """Who asks for the promotion, and why. As the options of `mtac promote`."""

    by: str = Field(min_length=1, description="The person who asks; where approval is needed, one who may approve.")
    reason: str = Field(min_length=1, description="Why; kept in the ledger.")
    model_id: str = Field(default="", description="The model, or the beginning of its ID; the date's newest if empty.")


def champion_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Judge and promote. A refusal fails the run; it and the beginning of a shadow period materialize nothing: the champion stays."""
    recipe, window = place.recipe, place.recipe.window

    @dg.asset(
        key=place.key("champion"),
        description=f"The model of `{recipe.name}` that serves. Materialize it with approver and reason; the gates decide.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"git", "mlflow"},
        output_required=False,
        deps=[place.key("report"), place.key("reproduction")],
        partitions_def=as_of_partitions(window, place.rows) if window else None,
        check_specs=[
            dg.AssetCheckSpec(
                GATES_CHECK,
                asset=place.key("champion"),
                blocking=True,
                description="Every gate of the recipe and of the environment passed, on evidence read anew.",
            )
        ],
    )
    def promote_model(
        context: dg.AssetExecutionContext, config: Approval
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.promotion.decide import promote

        sign(context)
        with as_failure():
            model_id = recorded_model(place, as_of(context), config.model_id)
            decision = promote(place.project, model_id, by=config.by, reason=config.reason, echo=context.log.info)
        for warning in decision.warnings:
            context.log.warning(warning)
        verdicts = _table(decision)
        if decision.in_shadow:
            context.log.info(
                f"{model_id} is in its shadow period: live labels decide (docs/monitoring.md); the champion stays"
            )
            yield dg.AssetCheckResult(check_name=GATES_CHECK, passed=True, metadata={"verdicts": verdicts})
            return
        if not decision.promoted:
            yield dg.AssetCheckResult(check_name=GATES_CHECK, passed=False, metadata={"verdicts": verdicts})
            raise _refused(decision)
        yield dg.MaterializeResult(
            metadata={
                "Model ID": model_id,
                "before it": decision.previous or "none",
                "by": config.by,
                "reason": config.reason,
                "ledger entry": decision.entry.sequence,
                "verdicts": verdicts,
            },
            data_version=dg.DataVersion(model_id),
            tags={MODEL_ID_TAG: model_id},
        )
        yield dg.AssetCheckResult(check_name=GATES_CHECK, passed=True, metadata={"verdicts": verdicts})

    return promote_model


def _refused(decision: "Decision") -> dg.Failure:
    failed = [verdict for verdict in decision.verdicts if not verdict.passed]
    return dg.Failure(
        description=f"{decision.model_id} is refused: " + "; ".join(f"{one.gate}: {one.reason}" for one in failed),
        metadata={"verdicts": _table(decision), "ledger entry": decision.entry.sequence},
        allow_retries=False,
    )


def _table(decision: "Decision") -> dg.MetadataValue:
    if not decision.verdicts:
        return dg.MetadataValue.text(
            "it is in its shadow already" if decision.in_shadow else "it is the champion already"
        )
    return metadata.table(
        ["gate", "verdict", "reason"],
        [[verdict.gate, "passed" if verdict.passed else "**failed**", verdict.reason] for verdict in decision.verdicts],
    )
