"""Environment variables that libraries read while they are loaded: a process that has loaded them cannot change them any more."""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES = ("ATEN_", "BLIS_", "CUBLAS_", "CUDA_", "KMP_", "LD_", "MKL_", "NUMEXPR_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTHON",
            "TORCH")  # fmt: skip


def decisive(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of `variables` that are read while libraries load; all others may change until a process is sent on its way."""
    return {name: value for name, value in variables.items() if name.startswith(PREFIXES)}
