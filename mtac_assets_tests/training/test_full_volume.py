"""A volume that takes no more, while a real trainer writes: nothing partial under a final name, and with room again the same bits.

The system refuses every write beyond a size (RLIMIT_FSIZE), as it refuses one where no room is left: by an OSError in the middle of a file.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mtac_assets.training.checkpoint import document_path, steps_in
from mtac_assets.training.pack import Pack
from mtac_assets_tests.training.test_run import same_model

pytestmark = pytest.mark.fault


def limited(bytes_at_most: int, command: list[str]) -> list[str]:
    return ["prlimit", f"--fsize={bytes_at_most}", *command]


def test_what_does_not_fit_is_named_and_with_room_again_the_bits_are_the_same(job, run_job, root, uninterrupted):
    checkpoints = sorted((uninterrupted / "checkpoints").glob("*.safetensors"))
    room = checkpoints[0].stat().st_size - 1
    done = subprocess.run(
        limited(room, job.command()),
        cwd=root, env=job.environment_variables(root), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "File too large" in done.stderr, done.stderr
    assert not (job.out / "pack.json").exists(), "sealed last, and only when all is there"
    assert not list((job.out / "checkpoints").glob("step-*.safetensors"))
    assert steps_in(job.out / "checkpoints") == []
    assert not document_path(job.out / "checkpoints", 5).exists()
    run_job(job)
    assert same_model(uninterrupted, job.out)
    Pack.open(job.out).verify()
    assert not list(Path(job.out).rglob(".tmp-*"))
