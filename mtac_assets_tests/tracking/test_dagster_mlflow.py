"""The cases that docs/decisions/0003-mlflow-resource-of-our-own.md is about, with real Dagster runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.spec.project import Project

ROOT = Path(__file__).resolve().parents[2]
DECISION = ROOT / "docs" / "decisions" / "0003-mlflow-resource-of-our-own.md"
Runs = Callable[..., list[Any]]


def run_script(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_DISABLE_TELEMETRY": "1"}
    answer = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=240, check=False
    )
    assert answer.returncode == 0, answer.stderr[-4000:]
    return answer.stdout


def statuses(runs: list[Any]) -> dict[str, str]:
    return {run.data.tags["mtac.model_id"]: run.info.status for run in runs}


# Each step of the multiprocess executor imports Dagster, MLflow and dagster-mlflow anew.
@pytest.mark.parametrize("executor", ["in_process", pytest.param("multiprocess", marks=pytest.mark.slow)])
def test_a_failing_branch_closes_its_own_run_and_no_other(project: Project, runs: Runs, executor: str) -> None:
    output = run_script(str(Path(__file__).with_name("branching_job.py")), executor)
    assert output.strip().splitlines()[-1] == "failure"

    ours = runs("ours")
    assert statuses(ours) == {"fails": "FAILED", "trains": "FINISHED"}
    assert len(ours) == 2
    assert next(run for run in ours if run.info.status == "FINISHED").data.metrics == {"trains": 1.0}

    # dagster-mlflow's own. If this fails, it was repaired: read the decision again.
    theirs = runs("theirs")
    if executor == "multiprocess":
        assert [run.info.status for run in theirs] == ["FINISHED"]
    else:
        assert len(theirs) == 2, "the stray run"
    assert not (project.root / "mlruns").exists()


def test_the_decisions_example_records_a_straight_chain(project: Project, runs: Runs, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DECISION.read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example + "\nprint(research.execute_in_process().success)\n")
    assert run_script(str(script)).strip().splitlines()[-1] == "True"
    (run,) = runs("tides-research")
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"level": 4.2}
    assert run.data.params == {"published": "4.2"}
    assert sorted(path.name for path in project.root.iterdir()) == ["pyproject.toml", "small", "state"]
