"""A real trainer process over a tiny training set, for tests: the trainer's own parts, without ingest and features before them.

`python tiny_trainer.py JOB.json`: the job names the recipe document, the training set, the folder for the pack, and what to do.
`fault` lets the process do to itself what a test wants to see survived or noticed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from mtac_assets.provenance.identity import Declaration
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.spec.shapes import recipe_model
from mtac_assets.training.process import StopRequest, exit_code, require_variables


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text())
    stop = StopRequest()
    return exit_code(Path(job["out"]), job["run_id"], lambda: work(job, stop))


def work(job: dict[str, Any], stop: StopRequest) -> None:
    recipe = recipe_model(job["recipe"]).model_validate(job["recipe"], strict=False)
    resolved = ResolvedRecipe.of(recipe, None, Path(job["folder"]), "defs/tiny", (), None)
    require_variables(recipe.training)
    from mtac_assets.training.inputs import from_folder

    declaration = Declaration(resolved.identity_document(), {"tiny": "0"}, job["data"], job["environment"])
    inputs = from_folder(resolved, declaration.document(), Path(job["training_set"]))
    out = Path(job["out"])
    match job["do"]:
        case "train":
            from mtac_assets.training import pieces
            from mtac_assets.training.run import run
            from mtac_assets.training.workers import join

            inject(job.get("fault"), stop)
            workers = join(recipe.training.device)
            pieces.ELEMENTS = job.get("elements", pieces.ELEMENTS)
            sharded = job.get("sharded", False)
            run(inputs, out, job["run_id"], may_resume=job["resume"], stop=stop, workers=workers, sharded=sharded)
            workers.leave()
        case "replay":
            from mtac_assets.training.replay import replay

            ignore = frozenset(job.get("ignore", ()))
            print(json.dumps(replay(inputs, out / "checkpoints", job["start"], job["until"], ignore=ignore).document()))
        case "trace":
            from mtac_assets.provenance.files import write_json
            from mtac_assets.training.trace import trace

            write_json(out / "trace.json", {"schema_version": 1, "entries": trace(inputs, job["steps"])})


def state_rank(state: Any) -> int:
    return state.workers.rank


def inject(fault: dict[str, Any] | None, stop: StopRequest) -> None:
    if fault is None:
        return
    from mtac_assets.training import checkpoint, loop

    match fault["kind"]:
        case "signal_after_step":  # the process signals itself, which is as sudden and can be timed to a step
            original = loop.train_step

            def step_then_signal(*arguments: Any) -> Any:
                result = original(*arguments)
                if arguments[3] + 1 == fault["step"] and state_rank(arguments[0]) == fault.get("worker", 0):
                    os.kill(os.getpid(), getattr(signal, fault["signal"]))
                return result

            loop.train_step = step_then_signal
        case "nan_before_step":  # of one worker's own copy of the weights
            sound = loop.train_step

            def spoil_then_step(*arguments: Any) -> Any:
                if arguments[3] == fault["step"] and state_rank(arguments[0]) == fault.get("worker", 0):
                    next(arguments[0].model.parameters()).data.view(-1)[:] = float("nan")
                return sound(*arguments)

            loop.train_step = spoil_then_step
        case "kill_in_checkpoint":  # between the tensors and their document
            written = checkpoint.write_atomic

            def write_then_die(path: Path, data: bytes) -> None:
                if path.name == f"step-{fault['step']:010d}.{fault['file']}":
                    path.with_name(".tmp-0123456789ab-" + path.name).write_bytes(data[: len(data) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                written(path, data)

            checkpoint.write_atomic = write_then_die


if __name__ == "__main__":
    sys.exit(main())
