"""The preflight as a blocking check of a language model's training set: a training that cannot end well does not begin."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.errors import FINDINGS, as_failure
from mtac_assets.orchestration.settings import SETTINGS, RunSettings
from mtac_assets.provenance.files import read_json, write_json

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace

CHECK = "preflight"
LIMIT_SECONDS = 120


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
        from mtac_assets.training.child import run_child, variables

        settings: RunSettings = getattr(context.resources, SETTINGS)
        project = place.project
        with as_failure(), tempfile.TemporaryDirectory(prefix="mtac-preflight-") as temporary:
            resolved = place.resolve(settings, None)
            recipe, out = Path(temporary) / "recipe.json", Path(temporary) / "results.json"
            write_json(recipe, {"schema_version": 1, **resolved.document()})
            workers = settings.workers or project.environment.launcher.workers
            arguments = ["--recipe", str(recipe), "--workers", str(workers), "--out", str(out)]
            module = "mtac_assets.training.preflight"
            code = run_child(module, arguments, project.root, variables(project, resolved), LIMIT_SECONDS)
            checks = read_json(out)["checks"] if out.is_file() else []
        failed = [one for one in checks if not one["passed"]]
        rows = [[one["id"], "passed" if one["passed"] else one["finding"]["error"]] for one in checks]
        return dg.AssetCheckResult(
            passed=code == 0,
            description="; ".join(one["finding"]["error"] for one in failed) or None,
            metadata={
                "checks": metadata.table(["check", "result"], rows),
                **({FINDINGS: [one["finding"] for one in failed]} if failed else {}),
            },
        )

    return preflight
