"""`python -m mtac_assets.training`: the stateless trainer. A recipe and a data pointer in, a pack out; knows no orchestrator.

Exit codes: 0 done; 1 failed (`failure.json` says why); 2 bad input; 75 stopped by SIGTERM with the state saved. Standard output
stays empty, but for the one JSON document of --prepare and of a replay.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.spec.collector import paused
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.leave import leave
from mtac_assets.spec.load import load_recipe, load_resolved
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.heap import keep_freed_memory
from mtac_assets.training.own_limit import keep_own_limit
from mtac_assets.training.process import StopRequest, exit_code, require_variables

if TYPE_CHECKING:
    from mtac_assets.training.inputs import Inputs


SEVERAL = "mtac_assets.training.launchers.local"
"""Starts several of us. Named and not imported: who starts a trainer decides no weight, so it is not of the fingerprint."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.workers > 1 and "RANK" not in os.environ:
        given = sys.argv[1:] if arguments is None else arguments
        os.execv(sys.executable, [sys.executable, "-m", SEVERAL, *given])
    keep_own_limit()
    keep_freed_memory()
    stop = StopRequest()
    return exit_code(options.out, options.run_id, lambda: _work(options, stop))


def _work(options: argparse.Namespace, stop: StopRequest) -> None:
    project = find_project()
    _require_own_code(project)
    resolved = _recipe(project, options)
    require_variables(resolved.recipe.training)
    # From here on torch may be loaded.
    with paused():
        from mtac_assets.training.inputs import gather
        from mtac_assets.training.workers import join

    workers = join(resolved.recipe.training.device)
    training_set = options.training_set
    if not workers.first:  # the first one builds it where it is missing
        training_set = Path(workers.told(None)["training_set"])
    inputs = gather(project, resolved, options.data.resolve(), training_set)
    if workers.first:
        workers.told({"training_set": str(inputs.training_set)})
    workers.require_same(inputs.fingerprint, "the fingerprint: another checkout, or other libraries")
    if options.prepare:
        print(json.dumps({"declaration": inputs.declaration, "training_set": str(inputs.training_set)}))
    elif options.replay_segment is not None or options.until_step is not None:
        print(json.dumps(_replay(inputs, options)))
    elif options.trace_steps is not None:
        _trace(inputs, options.out / "trace.json", options.trace_steps)
    else:
        from mtac_assets.training.progress import Sink, screen
        from mtac_assets.training.run import run

        if options.trace_first is not None and workers.first:
            _trace(inputs, options.out / ".trace.json", options.trace_first)  # no part of the pack
        sinks: tuple[Sink, ...] = (screen(inputs.model_id),) if workers.first else ()
        if workers.first and os.environ.get("DAGSTER_PIPES_CONTEXT"):
            from mtac_assets.training.pipes import PipesSink

            sinks = (*sinks, PipesSink())
        run(
            inputs,
            options.out,
            options.run_id,
            may_resume=options.resume,
            sinks=sinks,
            stop=stop,
            workers=workers,
            sharded=options.sharded,
        )
        workers.leave()


def _trace(inputs: Inputs, path: Path, steps: int) -> None:
    from mtac_assets.provenance.files import write_json
    from mtac_assets.training.trace import trace

    write_json(path, {"schema_version": 1, "entries": trace(inputs, steps)})


def _replay(inputs: object, options: argparse.Namespace) -> dict[str, object]:
    from mtac_assets.provenance.files import read_json
    from mtac_assets.training import checkpoint
    from mtac_assets.training.inputs import Inputs
    from mtac_assets.training.replay import replay, segment_steps

    assert isinstance(inputs, Inputs)
    folder, start = options.out / checkpoint.FOLDER, 0
    if options.replay_segment is not None:
        start, until = segment_steps(read_json(options.out / "digests.json"), options.replay_segment)
    else:
        until = options.until_step
    if options.from_checkpoint is not None:
        folder, start = options.from_checkpoint.parent, int(options.from_checkpoint.stem.removeprefix("step-"))
    ignore = frozenset({"environment"}) if options.allow_environment else frozenset()
    return replay(inputs, folder, start, until, ignore=ignore, keep=options.keep).document()


def _recipe(project: Project, options: argparse.Namespace) -> ResolvedRecipe:
    if options.recipe.suffix == ".json":
        return load_resolved(options.recipe)
    as_of = date.fromisoformat(options.as_of) if options.as_of else None
    return load_recipe(project, options.recipe, as_of=as_of)


def _require_own_code(project: Project) -> None:
    """An installed engine may serve any project; one that the project holds itself must be the one that runs."""
    own = project.root / "mtac_assets" / "training"
    here = Path(__file__).resolve().parent
    if own.is_dir() and own.resolve() != here:
        raise TrainingRefused(
            Finding(
                f"this is the trainer of another checkout ({here})",
                str(project.root),
                f"the trainer in {own}",
                "start it with `python -m mtac_assets.training` from the project's folder",
            )
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mtac_assets.training", description="Train one model from its recipe."
    )
    add = parser.add_argument
    add("--recipe", type=Path, required=True, help="resolved recipe (JSON), or a recipe.yaml with --as-of")
    add("--as-of", metavar="DATE", help="for a recipe.yaml with a window")
    add("--data", type=Path, required=True, help="folder with <dataset>/<key>.parquet and its manifests")
    add("--out", type=Path, required=True, help="folder for the pack")
    add("--run-id", required=True, help="name of this attempt, kept in its documents")
    add("--resume", action="store_true", help="go on from the newest whole checkpoint in --out, where there is one")
    add("--workers", type=int, default=1, help="start so many of them here, and let them train together: the same bits")
    add("--sharded", action="store_true", help="no worker holds all weights, for what does not fit: the same bits")
    add("--training-set", type=Path, help="use this folder instead of building the training set from --data")
    add("--prepare", action="store_true", help="build the training set only; prints it and the declaration as JSON")
    add(
        "--replay-segment",
        type=int,
        metavar="I",
        help="replay segment I of the pack in --out; prints its digests as JSON",
    )
    add("--from-checkpoint", type=Path, metavar="C", help="replay from this checkpoint's document, with --until-step")
    add("--until-step", type=int, metavar="N", help="replay until N steps are done; prints the digests as JSON")
    add("--keep", type=Path, metavar="DIR", help="keep the states that a replay reaches at boundaries, as checkpoints")
    add("--allow-environment", action="store_true", help="replay although the checkpoint's environment is another")
    add("--trace-first", type=int, metavar="N", help="as --trace-steps, and then train")
    add("--trace-steps", type=int, metavar="N", help="write digests of the first N steps' tensors to OUT/trace.json")
    return parser


if __name__ == "__main__":
    leave(main())
