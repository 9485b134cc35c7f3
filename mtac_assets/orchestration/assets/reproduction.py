"""A recipe's reproduction: one as-of date's model trained a second time from its commit alone, and compared bit by bit."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.assets.model import MODEL_ID_TAG
from mtac_assets.orchestration.assets.training_set import as_of
from mtac_assets.orchestration.commits import actor_of
from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.jobs import TRAINING_POOL
from mtac_assets.orchestration.partitions import as_of_partitions
from mtac_assets.orchestration.recorded import recorded_model

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace

IDENTICAL_CHECK = "identical"


class ReproductionSettings(dg.Config):
    """As the options of `mtac reproduce`."""

    model_id: str = Field(default="", description="The model, or the beginning of its ID; the date's newest if empty.")
    segments: str = Field(
        default="whole",
        description="`whole`: one training; `all`: each segment from its checkpoint; a number: that many at random.",
    )
    workers: int = Field(default=1, ge=1, description="Segments replayed at a time.")
    allow_environment: bool = Field(default=False, description="Rebuild although the environment differs; recorded.")
    install: bool = Field(default=False, description="Rebuild in a virtual environment made from the model's own lock.")
    reason: str = Field(default="", description="Why; kept in the ledger.")


def reproduction_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Rebuild in a clean room and record the verdict in the ledger. It needs the model's commit and nothing of this machine."""
    recipe, window = place.recipe, place.recipe.window

    @dg.asset(
        key=place.key("reproduction"),
        description=f"A model of `{recipe.name}` trained again from its commit alone: are all bits the same?",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"pytorch", "git"},
        deps=[place.key("model"), place.key("report")],
        partitions_def=as_of_partitions(window, place.rows) if window else None,
        pool=TRAINING_POOL,
        check_specs=[
            dg.AssetCheckSpec(
                IDENTICAL_CHECK,
                asset=place.key("reproduction"),
                blocking=True,
                description="Every tensor came out bit for bit as recorded.",
            )
        ],
    )
    def reproduce_model(
        context: dg.AssetExecutionContext, config: ReproductionSettings
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.promotion.reproduce import Request, parse_segments, reproduce

        sign(context)
        with as_failure():
            model_id = recorded_model(place, as_of(context), config.model_id)
            request = Request(
                parse_segments(config.segments),
                config.workers,
                allow_environment=config.allow_environment,
                install=config.install,
            )
            done = reproduce(
                place.project,
                model_id,
                request,
                actor=actor_of(context),
                reason=config.reason,
                echo=context.log.info,
            )
        shown = _shown(done.evidence)
        yield dg.MaterializeResult(
            metadata={"Model ID": model_id, "ledger entry": done.entry.sequence, **shown},
            data_version=dg.DataVersion(done.evidence["weights"]["rebuilt"] or done.verdict),
            tags={MODEL_ID_TAG: model_id},
        )
        yield dg.AssetCheckResult(check_name=IDENTICAL_CHECK, passed=done.verdict == "identical", metadata=shown)

    return reproduce_model


def _shown(evidence: Mapping[str, Any]) -> dict[str, Any]:
    weights = evidence["weights"]
    return {
        "verdict": evidence["verdict"],
        "weights": metadata.table(
            ["", "digest"], [["recorded", weights["recorded"]], ["rebuilt", weights["rebuilt"] or "not rebuilt"]]
        ),
        "seconds": evidence["seconds"],
        "evidence": dg.MetadataValue.json(dict(evidence)),
    }
