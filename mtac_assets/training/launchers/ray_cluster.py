"""Workers placed by Ray, on one machine or many: Ray Train finds room for them, and each runs the very same trainer as a process.

The trainer's own process is started, not a function within Ray's: its variables must be there before torch is loaded, and it must hold
no code but what its fingerprint covers. `--data`, `--out` and the training set must be on storage that every node sees. A node or worker
that dies ends the attempt; the next one resumes. Ray is an optional dependency: `pip install 'mtac-assets[ray]'`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import TrainerKilled, TrainingRefused, failure_path, write_failure


def command(arguments: Sequence[str], workers: int) -> list[str]:
    """The command line that runs the trainer with `arguments` on `workers` workers. TrainingRefused where Ray is not installed."""
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise TrainingRefused(
            Finding(
                "Ray is not installed",
                "launcher.kind of the environment",
                "the package ray[train]",
                "run `pip install 'mtac-assets[ray]'`, or write `kind: process`",
            )
        )
    return [sys.executable, "-m", __name__, "--workers", str(workers), "--", *arguments]


def worker(settings: dict[str, Any]) -> None:
    """What Ray Train runs in each worker: the trainer as a process, told its place."""
    import ray.train

    context = ray.train.get_context()
    rank, count = context.get_world_rank(), context.get_world_size()
    # Ray has set MASTER_ADDR and MASTER_PORT for torch's own group, which meets at that port; ours meets at the next.
    port = int(os.environ["MASTER_PORT"]) + 1
    places = {"RANK": rank, "LOCAL_RANK": context.get_local_rank(), "WORLD_SIZE": count, "MASTER_PORT": port}
    environment = {**os.environ, **settings["environment"], **{name: str(value) for name, value in places.items()}}
    child = subprocess.Popen([sys.executable, "-m", "mtac_assets.training", *settings["arguments"]],
                             cwd=settings["root"], env=environment, stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        code = child.wait()
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait()
    if code < 0:
        _tell(Path(settings["out"]), settings["run_id"], rank, count, code)
    if code != 0:
        raise RuntimeError(f"worker {rank} of {count} ended with code {code}")
    ray.train.report({"ended": rank})


def _tell(out: Path, run_id: str, rank: int, workers: int, code: int) -> None:
    name = signal.Signals(-code).name
    finding = Finding(
        f"worker {rank} of {workers} was ended by {name}",
        str(out),
        "an exit of its own",
        "start it again: it goes on from the last checkpoint",
    )
    write_failure(out, run_id, TrainerKilled(finding), rank)


def main() -> int:
    """Place the workers and wait for them. The exit code is the training's: what `failure.json` says, or 1."""
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from mtac_assets.provenance.files import read_json

    parser = argparse.ArgumentParser(prog="python -m mtac_assets.training.launchers.ray")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    told = argparse.ArgumentParser()
    told.add_argument("--out", type=Path)
    told.add_argument("--run-id")
    known, _ = told.parse_known_args(arguments)
    kept = (
        "OMP_",
        "MKL_",
        "OPENBLAS_",
        "ATEN_",
        "ONEDNN_",
        "CUBLAS_",
        "PYTHONHASHSEED",
        "APP_ENV",
        "MTAC_",
        "DAGSTER_PIPES",
    )
    settings = {
        "arguments": arguments,
        "root": os.getcwd(),
        "out": str(known.out),
        "run_id": known.run_id,
        "environment": {name: value for name, value in os.environ.items() if name.startswith(kept)},
    }
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=True)
    trainer = TorchTrainer(
        worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=False, placement_strategy="SPREAD"),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=0)),
    )
    try:
        trainer.fit()
    except (RayError, RuntimeError) as error:
        print(error, file=sys.stderr, flush=True)
        paths = [failure_path(known.out, rank) for rank in range(options.workers)]
        documents = [read_json(path) for path in paths if path.is_file()]
        return next((one["exit_code"] for one in documents if one["run_id"] == known.run_id), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
