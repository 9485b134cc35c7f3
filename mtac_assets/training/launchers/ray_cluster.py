"""Workers placed by Ray, on one machine or many: Ray Train finds room for them, and each runs the very same trainer as a process.

The trainer's own process is started, not a function within Ray's: its variables must be there before torch is loaded, and it must hold
no code but what its fingerprint covers. `RAY_ADDRESS` names the cluster; without it one is started here, for as long as the training
lasts. `--data`, `--out` and the project's folder must be on storage that every node sees: there the workers leave how they ended.

A worker that dies ends the attempt, and the next one resumes: Ray starts none again, because a trainer's state is its checkpoint. Each
trainer runs under a guard, so that it ends with Ray's worker, whatever ended that. Nothing of Ray is left behind but what the cluster
itself logs. Ray is an optional dependency: `pip install 'mtac-assets[ray]'`.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mtac_assets.provenance.beside import beside
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.training.errors import TrainingFailed, TrainingRefused, write_failure
from mtac_assets.training.launchers import ended, guard
from mtac_assets.training.launchers.local import free_port

START_SECONDS, ANSWER_SECONDS = 90.0, 10.0
KEPT = ("OMP_", "MKL_", "OPENBLAS_", "ATEN_", "ONEDNN_", "CUBLAS_", "PYTHON", "APP_ENV", "MTAC_", "DAGSTER_PIPES")
"""Variables that a worker gets from here; all others are those of its node."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how late the end of a training is noticed
}


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
    """What Ray Train runs in each worker: the trainer as a process, told its place. How it ended stands in the shared folder.

    Sent to the nodes as it stands here, so it uses the standard library and Ray alone.
    """
    import contextlib
    import json

    import ray.train.collective
    import ray.util

    context = ray.train.get_context()
    rank, count = context.get_world_rank(), context.get_world_size()
    shared, here = Path(settings["shared"]), ray.util.get_node_ip_address()
    if not (Path(settings["root"]).is_dir() and shared.is_dir()):
        raise FileNotFoundError(f"the node {here} sees no {settings['root']} or no {shared}")
    with socket.socket() as found:
        found.bind((here, 0))
        mine = [here, found.getsockname()[1]]
    address, port = ray.train.collective.broadcast_from_rank_zero(mine)
    places = {"RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": address, "MASTER_PORT": port}
    # Ray shows each worker its own devices only.
    environment = {**os.environ, **settings["environment"], **{name: str(value) for name, value in places.items()}}
    environment["LOCAL_RANK"] = "0"
    if address.startswith("127."):
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    guarded = [sys.executable, "-P", settings["guard"], sys.executable, *settings["trainer"]]
    with (shared / f"said-{rank}").open("ab") as said:
        child = subprocess.Popen(guarded, cwd=settings["root"], env=environment, stdin=subprocess.PIPE, stderr=said)
    assert child.stdin is not None
    noticed, given_up = None, False
    while child.poll() is None:
        if (shared / "stop").exists():
            child.stdin.close()
        if noticed is None and list(shared.glob("failed-*")):
            noticed = time.monotonic()
        elif noticed is not None and not given_up and time.monotonic() - noticed > settings["grace"]:
            given_up = True
            child.stdin.close()
        time.sleep(0.1)
    code = child.returncode if child.returncode <= 128 else 128 - child.returncode
    told = shared / f".{rank}"
    told.write_text(json.dumps({"code": None if given_up else code, "at": time.time()}))
    told.rename(shared / f"ended-{rank}.json")
    if code:
        with contextlib.suppress(FileExistsError):
            (shared / f"failed-{rank}").touch(exist_ok=False)


def main() -> int:
    """Place the workers and wait for them. The exit code is the training's."""
    parser = argparse.ArgumentParser(prog="python -m mtac_assets.training.launchers.ray_cluster")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    told = argparse.ArgumentParser(add_help=False)
    for name in ("--out", "--recipe"):
        told.add_argument(name, type=Path, required=True)
    told.add_argument("--run-id", required=True)
    known, _ = told.parse_known_args(arguments)
    training = read_json(known.recipe)["training"]
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    trainer = ["-m", "mtac_assets.training", *arguments]
    try:
        with cluster(options.workers * training["threads"]) as address:
            return place(options.workers, trainer, training, known.out, known.run_id, address)
    except MtacError as error:
        known.out.mkdir(parents=True, exist_ok=True)
        write_failure(known.out, known.run_id, error)
        print(error, file=sys.stderr, flush=True)
        return error.exit_code


@contextmanager
def cluster(cpus: int) -> Iterator[str]:
    """The address of the cluster that `RAY_ADDRESS` names, or of one on this machine with `cpus` at least that ends with the block."""
    given = os.environ.get("RAY_ADDRESS")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="mtac-ray-") as folder:  # Ray's sockets need a short path
        started = subprocess.Popen(
            guard.command_line(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", "0"),
                    *("--node-ip-address", "127.0.0.1", "--temp-dir", folder, "--include-dashboard", "false"),
                    *("--num-cpus", str(max(cpus, os.cpu_count() or 1)), "--object-store-memory", str(100 << 20)),
                    *("--disable-usage-stats", "--ray-client-server-port", str(free_port())),
                ]
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert started.stdin is not None
        try:
            told, deadline = Path(folder) / "ray_current_cluster", time.monotonic() + START_SECONDS
            while not told.is_file():
                if started.poll() is not None or time.monotonic() > deadline:
                    raise TrainingFailed(
                        Finding("Ray did not start", "launcher.kind: ray", f"a cluster within {START_SECONDS:g} s",
                                "see its lines above, or name a cluster with RAY_ADDRESS")
                    )  # fmt: skip
                time.sleep(0.05)
            yield told.read_text().strip()
        finally:
            started.stdin.close()
            started.wait()


def place(workers: int, trainer: list[str], training: dict[str, Any], out: Path, run_id: str, address: str) -> int:
    """Run `python trainer` once a worker on the cluster at `address`, to the end of all. The exit code is the training's.

    `training`: the recipe's section, for what a worker needs of a node. Raises TrainingRefused where the cluster does not answer or has
    no room even when it is idle, TrainingFailed where Ray itself could not do it.
    """
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    _require_answer(address)
    # The trainers' own lines are passed on, not Ray's.
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    needs = {"CPU": float(training["threads"])} | ({"GPU": 1.0} if training["device"] == "cuda" else {})
    _require_room(ray.nodes(), workers, needs)
    shared = out.parent.resolve() / f".ray-{out.name}"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: (shared / "stop").touch())
    settings = {
        "trainer": trainer,
        "root": os.getcwd(),
        "shared": str(shared),
        "guard": guard.__file__,
        "grace": ended.GRACE_SECONDS,
        "environment": {name: value for name, value in os.environ.items() if name.startswith(KEPT)},
    }
    # Not the trainer for torch: that joins a process group of its own in each of Ray's workers, and ours do that themselves.
    placed = DataParallelTrainer(
        worker,
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=workers, use_gpu="GPU" in needs, resources_per_worker=needs, placement_strategy="SPREAD"
        ),
        run_config=RunConfig(
            name="placed",
            storage_path=str(shared),
            logging_config=LoggingConfig(log_level="ERROR"),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
        ),
    )
    try:
        with _passing_on(shared):
            placed.fit()
    except (TrainingFailedError, RayError) as error:
        lost = error.worker_failures if isinstance(error, WorkerGroupError) else {}
        if not lost:
            said = str(error).strip().splitlines()[-1]
            raise TrainingFailed(
                Finding(f"Ray could not run the workers: {said}", f"the cluster at {address}",
                        f"{workers} workers with {_named(needs)} each", "`ray status` says what the cluster is busy with")
            ) from error  # fmt: skip
        time.sleep(guard.GRACE_SECONDS / 2)  # the others' trainers end with Ray's workers, and say so first
        ended.tell(out, run_id, min(lost), workers, f"was lost to Ray: {lost[min(lost)]}")
        return 1
    finally:
        ends = {path.name: read_json(path) for path in shared.glob("ended-*.json")}
        shutil.rmtree(shared, ignore_errors=True)
        ray.shutdown()
    by_rank = [ends[f"ended-{rank}.json"] for rank in range(workers)]
    bad = [rank for rank in range(workers) if by_rank[rank]["code"]]
    first = min(bad, key=lambda rank: by_rank[rank]["at"], default=None)
    return ended.exit_code(out, run_id, [one["code"] for one in by_rank], first)


@contextmanager
def _passing_on(shared: Path) -> Iterator[None]:
    """What the trainers write to standard error comes out of ours, until the block ends."""
    places = dict[Path, int]()

    def read() -> None:
        for path in sorted(shared.glob("said-*")):
            with path.open("rb") as stream:
                stream.seek(places.get(path, 0))
                data = stream.read()
            places[path] = places.get(path, 0) + len(data)
            sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    with beside(read, 0.2, "said", at_end=True):
        yield


def _require_answer(address: str) -> None:
    """TrainingRefused where nobody listens at `host:port`: Ray itself would ask for minutes."""
    host, _, port = address.rpartition(":")
    try:
        if not (host and port.isdigit()):
            raise OSError("no host:port")
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise TrainingRefused(
            Finding(f"no Ray cluster answers at {address}: {error}", "RAY_ADDRESS", "host:port of a cluster's head",
                    "start it, or unset RAY_ADDRESS to have one started here")
        ) from error  # fmt: skip


def _require_room(nodes: list[dict[str, Any]], workers: int, needs: dict[str, float]) -> None:
    """TrainingRefused where the cluster could not hold the workers even when nothing else ran on it: Ray would wait without end."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    room = sum(int(min(node.get(kind, 0.0) // need for kind, need in needs.items())) for node in alive)
    if room < workers:
        raise TrainingRefused(
            Finding(f"the Ray cluster has room for {room} workers on {len(alive)} nodes", "--workers",
                    f"room for {workers} with {_named(needs)} each", "start fewer workers or add nodes")
        )  # fmt: skip


def _named(needs: dict[str, float]) -> str:
    return " and ".join(f"{value:g} {kind}" for kind, value in needs.items())


if __name__ == "__main__":
    sys.exit(main())
