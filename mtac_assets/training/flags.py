"""What is declared about arithmetic before torch is loaded: variables of the process, and the flags expected after the first step.

No torch here: the launcher sets the variables for its child, and `__main__` starts itself again where they are missing, because
torch, MKL, oneDNN and OpenMP read them once, when they are loaded. Setting and observing the flags is `determinism`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtac_assets.spec.recipe import Training

# A cap below what the machine has, so that machines of one kind agree: the newest instructions a library may use.
_CAPS: dict[str, dict[str, str]] = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "MKL_CBWR": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "default": {},
}
_CAPABILITY = {"avx2": "AVX2", "avx512": "AVX512"}


def variables(training: Training) -> dict[str, str]:
    """Environment variables that the trainer's process needs from its first instruction on."""
    threads = str(training.threads)
    return {
        **_CAPS[training.instruction_set],
        "OMP_NUM_THREADS": threads,
        "OMP_DYNAMIC": "FALSE",
        "MKL_NUM_THREADS": threads,
        "MKL_DYNAMIC": "FALSE",
        "OPENBLAS_NUM_THREADS": threads,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONHASHSEED": "0",
    }


def missing_variables(training: Training, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those of `variables` that the process does not have."""
    return {name: value for name, value in variables(training).items() if environment.get(name) != value}


def declared(training: Training) -> dict[str, str]:
    """Flags by name as they must be observed after the first step. `default` leaves the instruction set to the machine."""
    flags = {
        "deterministic_algorithms": "error",
        "threads": str(training.threads),
        "threads_between_operations": "1",
        "default_dtype": "float32",
        "float32_matmul_precision": "highest",
        "cudnn_benchmark": "off",
        "precision": training.precision,
        "device": training.device,
        **{f"variable.{name}": value for name, value in variables(training).items()},
    }
    if training.device == "cpu" and training.instruction_set in _CAPABILITY:
        flags["cpu_capability"] = _CAPABILITY[training.instruction_set]
    return dict(sorted(flags.items()))
