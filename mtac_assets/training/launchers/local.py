"""Workers on this machine: the trainer itself, or for several a process that starts it so many times.

`python -m mtac_assets.training.launchers.local --workers N ...` takes the trainer's own options beside.

The watch over them is its whole work: when one ends badly the others are ended too, and the one that died is named in
`failure.worker-K.json`. No torch here. All children stay in this process's own session, so that whoever ends that ends them all.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import EXIT_STOPPED, TrainerKilled, failure_path, write_failure

POLL_SECONDS = 0.02
GRACE_SECONDS = 8.0
LOOPBACK = "127.0.0.1"
TRAINER = "mtac_assets.training"


def command(arguments: Sequence[str], workers: int) -> list[str]:
    """The command line that runs the trainer with `arguments` on `workers` workers."""
    if workers == 1:
        return [sys.executable, "-m", TRAINER, *arguments]
    return [sys.executable, "-m", __name__, "--workers", str(workers), *arguments]


def supervise(workers: int, child: Sequence[str], out: Path, run_id: str) -> int:
    """Run `child` once for each worker, until all have ended. The exit code: 0, or that of the first that failed."""
    port = free_port()
    children = [
        subprocess.Popen(child, env=places(os.environ, rank, workers, LOOPBACK, port), stdin=subprocess.DEVNULL)
        for rank in range(workers)
    ]

    def pass_on(number: int, _: object) -> None:
        for one in children:
            if one.poll() is None:
                one.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    try:
        failed = _first_failure(children)
        if failed is None:
            return 0
        code = children[failed].returncode
        if code < 0:
            _tell(out, run_id, failed, workers, code)
        return code if code > 0 else 1
    finally:
        for one in children:
            if one.poll() is None:
                one.kill()
            one.wait()


def places(environment: Mapping[str, str], rank: int, workers: int, address: str, port: int) -> dict[str, str]:
    """The environment of one worker: its place, and where the first one can be met."""
    network = {"GLOO_SOCKET_IFNAME": "lo"} if address == LOOPBACK and Path("/sys/class/net/lo").exists() else {}
    return {
        **network,
        **environment,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(workers),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
    }


def _first_failure(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all; the place of the first that ended badly, once the others had the time to notice. None where all is well.

    Those that stop at SIGTERM all do so with the state saved, and none of them is to blame.
    """
    first: int | None = None
    noticed = 0.0
    while None in (codes := [one.poll() for one in children]):
        if first is None:
            first = next((rank for rank, code in enumerate(codes) if code), None)
            noticed = time.monotonic()
        elif time.monotonic() - noticed > GRACE_SECONDS:
            break
        time.sleep(POLL_SECONDS)
    ended = [rank for rank, one in enumerate(children) if one.returncode]
    killed = [rank for rank in ended if children[rank].returncode < 0]
    refused = [rank for rank in ended if children[rank].returncode not in (1, EXIT_STOPPED)]
    return next(iter([*killed, *refused, *([first] if first is not None else []), *ended]), None)


def _tell(out: Path, run_id: str, rank: int, workers: int, code: int) -> None:
    name = signal.Signals(-code).name
    hint = "; the system ends processes so when memory runs out" if -code == signal.SIGKILL else ""
    error = TrainerKilled(
        Finding(
            f"worker {rank} of {workers} was ended by {name}{hint}",
            str(out),
            "an exit of its own",
            "start it again, with as many or fewer workers: it goes on from the last checkpoint",
        )
    )
    print(error, file=sys.stderr, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    # The first worker may have failed only because of this one: what is told is the cause.
    write_failure(out, run_id, error)
    for other in range(1, workers):
        failure_path(out, other).unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run-id", required=True)
    options, _ = parser.parse_known_args()
    return supervise(options.workers, [sys.executable, "-m", TRAINER, *sys.argv[1:]], options.out, options.run_id)


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return found.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
