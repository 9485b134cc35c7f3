"""What Dagster loads: all of it, on one page, so that an unintended change of the graph shows in review.

After an intended one: `MTAC_UPDATE_SNAPSHOT=1 python -m pytest mtac_assets_tests/test_definitions.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mtac_assets.definitions import defs

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.txt")
HEAVY = ("torch", "mlflow", "sklearn", "pandas", "numpy", "pyarrow", "matplotlib", "scipy", "dvc", "pandera", "ray")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        ["-c", "from dagster_dg_cli.cli import main; main()", "check", "defs"],
    ],
    ids=["dagster definitions validate", "dg check defs"],
)
def test_dagsters_own_commands_accept_the_shipped_project(root: Path, tmp_path: Path, arguments: list[str]) -> None:
    variables = {**os.environ, "MTAC_STATE": str(tmp_path / "state"), "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return defs().get_repository_def()


def _partitions(definition: dg.PartitionsDefinition | None) -> str:
    if definition is None:
        return "none"
    keys = definition.get_partition_keys()
    return f"{keys[0]} … {keys[-1]} ({len(keys)})"


def _mapping(mapping: object) -> str:
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        return f"[{mapping.start_offset:+d} … {mapping.end_offset:+d}]"
    return "" if mapping is None else type(mapping).__name__


def _page(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for key, assets in sorted(repository.assets_defs_by_key.items()):
        spec = assets.specs_by_key[key]
        yield f"asset {key.to_user_string()}"
        yield f"  group {spec.group_name}, owners {', '.join(spec.owners)}, kinds {', '.join(sorted(spec.kinds))}"
        yield f"  partitions {_partitions(spec.partitions_def)}"
        if assets.backfill_policy is not None:
            yield f"  ranges: {assets.backfill_policy.policy_type.value}"
        for dep in sorted(spec.deps, key=lambda dep: dep.asset_key):
            yield f"  from {dep.asset_key.to_user_string()} {_mapping(dep.partition_mapping)}".rstrip()
        for check in assets.check_specs:
            yield f"  check {check.name}{', blocking' if check.blocking else ''}"
        pools = {op.pool for op in [assets.node_def] if getattr(op, "pool", None)}
        if pools:
            yield f"  pool {', '.join(sorted(pools))}"
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            assets = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            yield f"job {job.name}: {', '.join(assets)}"
            yield f"  executor {job.executor_def.name}, run tags {dict(sorted(job.run_tags.items()))}"
    for schedule in repository.schedule_defs:
        yield f"schedule {schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone}, job {schedule.job_name}"
        yield f"  {schedule.default_status.value}"


def test_the_graph_is_the_reviewed_one(repository: dg.RepositoryDefinition) -> None:
    page = "\n".join(_page(repository)) + "\n"
    if os.environ.get("MTAC_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(page)
    assert page == SNAPSHOT.read_text()


def test_every_asset_is_described_owned_and_linked_to_its_code(repository: dg.RepositoryDefinition) -> None:
    for key, assets in repository.assets_defs_by_key.items():
        spec = assets.specs_by_key[key]
        assert spec.description, key
        assert spec.owners, key
        references = spec.metadata["dagster/code_references"]
        for reference in references.code_references:
            assert Path(reference.file_path).is_file(), reference


def test_nothing_heavy_is_imported_with_the_code_location(root: Path) -> None:
    script = f"""
import sys
from mtac_assets.definitions import defs
defs().get_repository_def()
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
