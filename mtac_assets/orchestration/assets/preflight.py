"""The preflight as a blocking check of a language model's training set: a training that cannot end well does not begin."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.errors import FINDINGS, as_failure
from mtac_assets.orchestration.settings import SETTINGS, RunSettings

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace

CHECK = "preflight"


def preflight_check(place: "RecipePlace") -> dg.AssetChecksDefinition:
    """All checks at once, in a process of its own: this one loads no torch."""

    @dg.asset_check(
        asset=place.key("training_set"),
        name=CHECK,
        blocking=True,
        description="Network, batches, tokens, schedule, memory, time, disk and determinism, before anything is trained.",
        required_resource_keys={SETTINGS},
    )
    def preflight(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        from mtac_assets.data.training_set import find_built
        from mtac_assets.training.preflight.launch import examine

        settings: RunSettings = getattr(context.resources, SETTINGS)
        with as_failure():
            resolved = place.resolve(settings, None)
            built = find_built(place.project, resolved)
            folder = built.folder if built is not None else None
            checks = examine(place.project, resolved, settings.workers or None, folder)
        failed = [one for one in checks if not one["passed"]]
        rows = [[one["id"], _said(one), _numbers(one["evidence"])] for one in checks]
        return dg.AssetCheckResult(
            passed=not failed,
            description="; ".join(one["finding"]["error"] for one in failed) or None,
            metadata={
                "checks": metadata.table(["check", "result", "numbers"], rows),
                **({FINDINGS: [one["finding"] for one in failed]} if failed else {}),
            },
        )

    return preflight


def _said(one: Mapping[str, Any]) -> str:
    if not one["passed"]:
        return one["finding"]["error"]
    return f"passed: {one['remark']}" if one["remark"] is not None else "passed"


def _numbers(evidence: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in evidence.items())


def passed_in(context: dg.AssetExecutionContext, place: "RecipePlace") -> bool:
    """Did the check pass in this very run? Then it need not be made again."""
    key = dg.AssetCheckKey(place.key("training_set"), CHECK)
    storage = context.instance.event_log_storage
    record = storage.get_latest_asset_check_execution_by_key([key]).get(key)
    return (
        record is not None
        and record.run_id == context.run_id
        and record.status == AssetCheckExecutionRecordStatus.SUCCEEDED
    )
