"""Workers started by torchrun, on this machine. On more machines start the same command on each, with torchrun's own options.

torchrun ends all workers when one fails; it starts none again (`--max-restarts 0`): the next attempt resumes from the last checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def command(arguments: Sequence[str], workers: int) -> list[str]:
    """The command line that runs the trainer with `arguments` on `workers` workers."""
    options = ["--standalone", "--nproc-per-node", str(workers), "--max-restarts", "0"]
    return [sys.executable, "-m", "torch.distributed.run", *options, "-m", "mtac_assets.training", *arguments]
