"""What Dagster costs: loading the code location, and a range of 365 days with nothing to do but its events."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5

LOAD = """
    import time
    begin = time.perf_counter()
    from mtac_assets.definitions import defs
    defs().get_repository_def()
    print(time.perf_counter() - begin)
"""
IMPORT = """
    import time
    begin = time.perf_counter()
    import dagster
    print(time.perf_counter() - begin)
"""
EVENTS = """
    import os, sys, time
    import dagster as dg
    from mtac_assets.orchestration.partition_events import NO_VALUE, Materialized, report, reported_output

    days = dg.DailyPartitionsDefinition("2013-01-01", end_date="2014-01-01")

    @dg.asset(partitions_def=days, dagster_type=NO_VALUE, backfill_policy=dg.BackfillPolicy.single_run())
    def readings(context):
        report(context, [Materialized(key, key, {"rows": 900, "state": "written"}) for key in context.partition_keys])
        yield reported_output()

    home = sys.argv[1]
    storage = {
        "module": "mtac_assets.orchestration.event_log",
        "class": "BatchingSqliteEventLogStorage",
        "config": {"base_dir": home + "/history"},
    }
    instance = dg.DagsterInstance.local_temp(
        home, overrides={"telemetry": {"enabled": False}} | ({"event_log_storage": storage} if sys.argv[2] == "batched" else {})
    )
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = dg.Definitions(assets=[readings], jobs=[dg.define_asset_job("all", config=quiet)]).resolve_job_def("all")
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "1000" if sys.argv[2] == "batched" else "0"
    range_of = {"dagster/asset_partition_range_start": "2013-01-01", "dagster/asset_partition_range_end": "2013-12-31"}
    begin = time.perf_counter()
    job.execute_in_process(instance=instance, tags=range_of)
    print(time.perf_counter() - begin)
"""


def measure() -> list[Figure]:
    """Each figure from processes of their own; loads are told beside the bare import of Dagster."""
    loads, imports = [], []
    for _ in range(REPEATS):
        imports.append(_seconds(IMPORT))
        loads.append(_seconds(LOAD))
    batched, single = [], []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            batched.append(_seconds(EVENTS, one, "batched"))
            single.append(_seconds(EVENTS, other, "single"))
    ratio = median(batched) / median(single)
    return [
        Figure(
            "loading the code location",
            median(loads),
            "s",
            at_most=1.5,
            detail=f"import dagster {median(imports):.2f} s",
        ),
        Figure(
            "events of 365 days in one run",
            median(batched),
            "s",
            detail=f"Dagster's own storage {median(single):.2f} s",
        ),
        Figure("events in batches, against one by one", ratio, at_most=0.5, detail="365 days, one asset, two rounds"),
    ]


def _seconds(script: str, *arguments: str) -> float:
    """What the script prints last: the seconds that it measured in its own process."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
