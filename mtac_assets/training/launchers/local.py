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

from mtac_assets.training.launchers.ended import GRACE_SECONDS, exit_code

POLL_SECONDS = 0.02
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
        first = _first_failure(children)
        return exit_code(out, run_id, [one.returncode for one in children], first)
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
    """Wait for all; the place of the first that was seen to end badly, once the others had the time to notice."""
    first: int | None = None
    noticed = 0.0
    while None in (codes := [one.poll() for one in children]):
        if first is None:
            first = next((rank for rank, code in enumerate(codes) if code), None)
            noticed = time.monotonic()
        elif time.monotonic() - noticed > GRACE_SECONDS:
            break
        time.sleep(POLL_SECONDS)
    return first


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
