"""The environment that a model declares before training, and the one that a machine shows.

Belongs here: interpreter, platform and versions of distributions as leaves of the fingerprint (`declared`); processor, flags
and libraries as they are (`observed`), recorded beside the model; a reproduction lists where its machine differs. Threads, precision, device
and instruction set are the recipe's leaves, so they are not repeated here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

# Whatever moves bits and is set from outside the process; the trainer sets these itself and records what it found.
BIT_MOVING_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
)


def declared(project: Project, resolved: ResolvedRecipe, distributions: Mapping[str, str]) -> dict[str, str]:
    """Leaves of the declared environment: interpreter, operating system, machine, and `distributions` by version."""
    del project, resolved  # threads, precision, device and instruction set already count as the recipe's own leaves
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform.system": platform.system(),
        "platform.machine": platform.machine(),
        **{f"package.{name}": version for name, version in distributions.items()},
    }


def observed() -> dict[str, str]:
    """What this machine and process show: processor, cores, C library, and variables that move bits. Costs a file read."""
    libc, libc_version = platform.libc_ver()
    found = {
        "cpu.model": "",
        "cpu.flags": "",
        "cpu.count": str(os.cpu_count() or 0),
        "libc": f"{libc} {libc_version}".strip(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform.system": platform.system(),
        "platform.machine": platform.machine(),
    }
    found |= _processor()
    found |= {f"variable.{name}": os.environ[name] for name in BIT_MOVING_VARIABLES if name in os.environ}
    return dict(sorted(found.items()))


def machine(found: Mapping[str, str]) -> dict[str, str]:
    """Of what was `observed`, the machine: its fields, and each of the processor's flags as a field of its own. Variables are left
    out: a trainer sets its own, and the process that asks is none."""
    fields = {name: value for name, value in found.items() if not name.startswith("variable.") and name != "cpu.flags"}
    return fields | {f"cpu.flag.{flag}": "present" for flag in found.get("cpu.flags", "").split()}


def _processor() -> dict[str, str]:
    """Model and instruction sets of the first processor; Linux only, empty elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {"cpu.model": platform.processor()}
    first = path.read_text(errors="replace").partition("\n\n")[0]
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {"cpu.model": fields.get("model name", platform.processor()), "cpu.flags": " ".join(sorted(flags))}
