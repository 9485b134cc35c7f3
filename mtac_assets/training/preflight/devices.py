"""Devices by name: memory and peak speed, from their makers' data sheets (dense bfloat16; float32 where they have none). Utilisation and price are the environment's to say."""

from __future__ import annotations

import os
from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class Device:
    """`memory` in bytes, `peak` in floating-point operations a second; `kind` as `training.device` says it."""

    name: str
    kind: str
    memory: int
    peak: float
    bfloat16: bool = True


_GPUS = {
    "h200": (141e9, 989.5e12),
    "h100": (80e9, 989.5e12),
    "a100": (80e9, 312e12),
    "a100_40gb": (40e9, 312e12),
    "l40s": (48e9, 362e12),
    "l4": (24e9, 121e12),
    "v100": (32e9, 15.7e12),
    "t4": (16e9, 8.1e12),
}
_WITHOUT_BFLOAT16 = ("v100", "t4")
NAMES = ("cpu", *_GPUS)
CPU_PEAK_PER_THREAD = 48e9
"""Of one thread in float32: AVX2, two fused multiply-adds of 8 numbers a cycle, at 1.5 GHz (what a shared core sustains)."""


def device_of(name: str, threads: int = 1) -> Device | None:
    """The device of that name, None for an unknown one. `cpu` is this machine's memory, at the recipe's number of threads."""
    if name == "cpu":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Device("cpu", "cpu", memory, CPU_PEAK_PER_THREAD * threads)
    if name not in _GPUS:
        return None
    memory, peak = _GPUS[name]
    return Device(name, "cuda", int(memory), peak, bfloat16=name not in _WITHOUT_BFLOAT16)
