"""A tiny training set and a real trainer process over it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mtac_assets_tests.training.tiny_set import Job, write_training_set
from mtac_assets_tests.training.tiny_tokens import write_token_set


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Threads of many tests on few cores wait for each other, most of all on networks this small."""
    torch.set_num_threads(1)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_set(tmp_path_factory.mktemp("tiny") / "set")


@pytest.fixture
def job(tmp_path: Path, tiny_set: Path) -> Job:
    return Job(tmp_path / "out", tiny_set, tmp_path)


@pytest.fixture
def run_job(root: Path) -> Run:
    def run(job: Job, expect: int = 0) -> subprocess.CompletedProcess[str]:
        variables = job.environment_variables(root)
        done = subprocess.run(job.command(), cwd=root, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def uninterrupted(root: Path, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of a training that nothing disturbed: what every disturbed one must equal."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    job = Job(folder / "out", tiny_set, folder)
    subprocess.run(job.command(), cwd=root, env=job.environment_variables(root), check=True, timeout=120)
    return job.out


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_token_set(tmp_path_factory.mktemp("tokens") / "set")
