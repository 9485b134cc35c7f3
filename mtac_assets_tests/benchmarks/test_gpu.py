"""The benchmark of the GPU on a machine that has none: it says so, and measures nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_without_a_gpu_it_is_skipped_with_a_message(root: Path) -> None:
    code = "from benchmarks.gpu import measure; assert measure() == []"
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=hidden, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "skipped: there is no CUDA device here" in done.stderr
