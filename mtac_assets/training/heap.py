"""The C library's heap of a process that computes: what is freed is kept for what is allocated next.

glibc gives memory at the top of the heap back as soon as a few MB of it are free, and the next tensor faults it in again page by
page: a fifth of a small network's step. Which address a tensor has decides no bit.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT, LARGEST = 256 << 20, 32 << 20
"""Bytes that stay with the process though they are free, and of the largest block that comes from the heap (glibc's own maximum)."""


def keep_freed_memory() -> None:
    """From now on in this process. Nothing where the C library is another than glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, KEPT)
