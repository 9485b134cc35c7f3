"""Determinism: flags set before anything runs and observed afterwards, and randomness by name.

Belongs here: everything that keeps two runs of one fingerprint on one kind of machine equal in every bit, except the order of rows
(`data.sampler`) and the order of additions (`reduction`).
"""

from __future__ import annotations

import hashlib
import os

import torch

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training import flags
from mtac_assets.training.errors import FlagsDiffer, TrainingRefused


def establish(training: Training) -> None:
    """Set every flag that `flags.declared` names. Once, before the first tensor; raises TrainingRefused where the device is missing."""
    if training.device == "cuda" and not torch.cuda.is_available():
        raise TrainingRefused(
            Finding(
                "no CUDA device is here",
                "training.device",
                "a CUDA device",
                "set `device: cpu`, or train where there is one",
            )
        )
    # What torch.use_deterministic_algorithms(True) sets, without importing the compiler (1.5 s) to tell it too: nothing here is compiled.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory guards against reads of it, which deterministic algorithms have none of; it costs a pass over each tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.set_num_threads(training.threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.benchmark = False
    if training.device == "cuda":
        # Of the attention kernels only flash and the plain one have a deterministic backward pass.
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)
    if training.compile:
        torch.use_deterministic_algorithms(True)  # tells the compiler too


def observed(training: Training, parameter: torch.Tensor) -> dict[str, str]:
    """The flags of `flags.declared` as this process shows them; `parameter` is one of the model's, after a step."""
    mode = torch.get_deterministic_debug_mode()
    found = {
        "deterministic_algorithms": {0: "off", 1: "warn", 2: "error"}[mode],
        "threads": str(torch.get_num_threads()),
        "threads_between_operations": str(torch.get_num_interop_threads()),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_benchmark": "on" if torch.backends.cudnn.benchmark else "off",
        "precision": training.precision if parameter.dtype == torch.float32 else str(parameter.dtype),
        "device": parameter.device.type,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **{f"variable.{name}": os.environ.get(name, "") for name in flags.variables(training)},
    }
    return dict(sorted(found.items()))


def require_declared(training: Training, parameter: torch.Tensor, moment: str) -> dict[str, str]:
    """The observed flags; FlagsDiffer with a finding for each that is not as declared."""
    found = observed(training, parameter)
    findings = [
        Finding(
            f"the flag {name} is {found.get(name, 'not set')!r} {moment}",
            f"environment.{name}",
            f"{value!r}, as declared",
            "find what resets it (a model's own code, an import, another torch version): such a model cannot be rebuilt",
        )
        for name, value in flags.declared(training).items()
        if found.get(name) != value
    ]
    if findings:
        raise FlagsDiffer(*findings)
    return found


def seed_of(seed: int, *name: object) -> int:
    """63 bits from SHA-256 over the recipe's seed and a name: streams are told apart by name, never by position."""
    key = "|".join(["mtac.random.1", str(seed), *map(str, name)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1


def key_randomness(seed: int, *name: object) -> None:
    """Begin the streams that torch draws from (dropout, initialisation) anew under this name."""
    value = seed_of(seed, *name)
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(value)
