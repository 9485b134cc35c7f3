from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
{before}
def round_of_blocks():
    blocks = [np.ones(1 << 18) for _ in range(8)]  # 2 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = round_of_blocks()
for _ in range(9):
    last = round_of_blocks()
print(last - first)
"""


def faults(before: str) -> int:
    """Pages faulted in by nine rounds that allocate what the first has freed."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(before=before)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap that can be told")
def test_memory_that_was_freed_is_not_faulted_in_again():
    told = faults("from mtac_assets.training.heap import keep_freed_memory; keep_freed_memory()")
    assert told < 0.1 * faults("")
