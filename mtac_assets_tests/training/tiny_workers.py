"""A training of tiny_tokens on several workers, in real processes that speak gloo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mtac_assets.training.pack import Pack
from mtac_assets_tests.training.tiny_set import Job

SAME = ("digests", "losses", "golden")
SUPERVISE = """
import json, sys
from pathlib import Path
from mtac_assets.training.launchers.local import supervise
job = json.loads(sys.argv[1])
sys.exit(supervise(job["workers"], job["command"], Path(job["out"]), "run"))
"""


def begun(job: Job, workers: int, root: Path, **variables: str) -> subprocess.Popen[str]:
    told = json.dumps({"workers": workers, "command": job.command(), "out": str(job.out)})
    several = [sys.executable, "-c", SUPERVISE, told]
    environment = {**job.environment_variables(root), **variables}
    return subprocess.Popen(
        job.command() if workers == 1 else several,
        cwd=root,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def train(job: Job, workers: int, root: Path, expect: int = 0, **variables: str) -> str:
    child = begun(job, workers, root, **variables)
    _, said = child.communicate(timeout=200)
    assert child.returncode == expect, f"exit {child.returncode}\n{said}"
    return said


def documents(out: Path) -> list[dict[str, object]]:
    pack = Pack.open(out)
    pack.verify()
    return [pack.document(name) for name in SAME]
