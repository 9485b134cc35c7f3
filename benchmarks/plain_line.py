"""The main job as one plain script: the same functions in one process, without Dagster, MLflow, DVC, Git or child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(as_of: str) -> None:
    from dataclasses import replace
    from datetime import date

    from mtac_assets.data import features, ingest, training_set
    from mtac_assets.provenance import partitions
    from mtac_assets.spec.load import load_dataset, load_recipe
    from mtac_assets.spec.project import find_project

    project = find_project()
    resolved = load_recipe(project, "flight_delays", (), date.fromisoformat(as_of))
    needed = partitions.needed(project, resolved).everything
    for name, keys in needed.items():
        ingest.ingest(project, load_dataset(project, name), keys)
    features.materialise(project, resolved, resolved.windows().features)
    training_set.build(project, resolved)

    from mtac_assets.training.inputs import gather
    from mtac_assets.training.run import run

    # A trainer that was given no project asks of no module whether the fingerprint covers it: here all of them are loaded.
    inputs = replace(gather(project, resolved, project.state.data), project=None)
    pack = project.state.models / inputs.model_id
    run(inputs, pack, "plain", may_resume=False, sinks=(), stop=lambda: False)

    from mtac_assets.evaluation.evaluate import evaluate

    evaluate(project, resolved, pack, out=Path(project.state.reports / inputs.model_id))


if __name__ == "__main__":
    if not os.environ.get("ATEN_CPU_CAPABILITY"):
        from datetime import date

        from mtac_assets.spec.load import load_recipe
        from mtac_assets.spec.project import find_project
        from mtac_assets.training import flags

        recipe = load_recipe(find_project(), "flight_delays", (), date.fromisoformat(sys.argv[1])).recipe
        os.execve(
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **flags.variables(recipe.training)}
        )
    main(sys.argv[1])
