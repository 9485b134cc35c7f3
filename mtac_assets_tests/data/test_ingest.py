"""Ingest: days stand alone, the same content moves no byte, and nothing bad replaces anything good."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtac_assets.data.contract.source import ContractError, contract_digest
from mtac_assets.data.contract.stamp import require_stamps
from mtac_assets.data.ingest import IngestError, ingest
from mtac_assets.data.ingest_pending import pending
from mtac_assets.data.partitions import quarantine_path, read_manifest, read_table

CONTRACT_FILE = "contract.py"


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file under `folder` with inode, time and bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def statuses(result) -> dict[str, str]:
    return {day.key: day.status for day in result.days}


def test_a_range_becomes_partitions_with_manifest_and_stamp(shop) -> None:
    keys = shop.days(3)
    for key in keys:
        shop.csv(key)
    heard = []
    result = ingest(shop.project, "orders", keys, heard.append)
    assert statuses(result) == dict.fromkeys(keys, "written")
    assert [day.key for day in heard] == keys
    manifest = read_manifest(shop.data, "orders", keys[1])
    assert manifest == result.days[1].manifest
    assert manifest.source["uri"] == f"in/orders-{keys[1]}.csv"
    assert manifest.columns[2] == ("shop", "category")
    require_stamps(shop.data, "orders", keys, contract_digest(shop.dataset(), shop.folder))
    assert all(check.passed for day in result.days for check in day.checks)
    assert not list(shop.data.rglob(".tmp-*"))


def test_the_same_content_moves_no_byte(shop) -> None:
    keys = shop.days(3)
    for key in keys:
        shop.csv(key)
    ingest(shop.project, "orders", keys)
    before = snapshot(shop.data)
    assert statuses(ingest(shop.project, "orders", keys)) == dict.fromkeys(keys, "unchanged")
    assert statuses(ingest(shop.project, "orders", keys, read_again=True)) == dict.fromkeys(keys, "unchanged")
    # Delivered again with its rows and columns in another order: still the same content.
    table = shop.orders(keys[0])
    shop.csv(keys[0], table.take(list(reversed(range(20)))).select(list(reversed(table.column_names))))
    assert list(pending(shop.project, shop.dataset(), keys)) == [keys[0]]
    assert statuses(ingest(shop.project, "orders", keys)) == dict.fromkeys(keys, "unchanged")
    assert snapshot(shop.data) == before
    assert pending(shop.project, shop.dataset(), keys) == {}


def test_two_machines_write_the_same_bytes(make_shop, tmp_path: Path) -> None:
    first, second = make_shop(tmp_path / "a"), make_shop(tmp_path / "b")
    table = first.orders("2024-01-01")
    first.csv("2024-01-01", table)
    second.csv("2024-01-01", table.take([19, *range(19)]))
    a, b = (ingest(shop.project, "orders", ["2024-01-01"]).days[0].manifest for shop in (first, second))
    assert (a.content_digest, a.file_sha256) == (b.content_digest, b.file_sha256)


def test_a_corrected_day_gets_a_new_digest_and_leaves_the_others(shop) -> None:
    keys = shop.days(2)
    for key in keys:
        shop.csv(key)
    old = ingest(shop.project, "orders", keys).days
    shop.csv(keys[0], shop.orders(keys[0], price=[50.0] * 20))
    assert pending(shop.project, shop.dataset(), keys) == {keys[0]: "its source changed"}
    new = ingest(shop.project, "orders", keys)
    assert statuses(new) == {keys[0]: "written", keys[1]: "unchanged"}
    assert new.days[0].manifest.content_digest != old[0].manifest.content_digest
    assert read_table(shop.data, "orders", keys[0], verify_bytes=True)["price"].unique().to_pylist() == [50.0]


def test_a_bad_day_holds_up_no_other_and_keeps_what_was_there(shop) -> None:
    keys = shop.days(4)
    for key in keys:
        shop.csv(key)
    ingest(shop.project, "orders", keys)
    before = snapshot(shop.data)
    shop.csv(keys[1], shop.orders(keys[1], price=[1e6] * 20))
    (shop.inbox / f"orders-{keys[2]}.csv").write_text("day,at\n2024")
    shop.csv(keys[3], shop.orders(keys[3], items=[9] * 20))
    result = ingest(shop.project, "orders", keys)
    assert list(statuses(result).values()) == ["unchanged", "failed", "failed", "written"]
    assert "price = 1000000.0 fails in_range(0, 100)" in result.days[1].findings[0].error
    assert "is missing" in result.days[2].findings[0].error
    after = snapshot(shop.data)
    assert {name for name in after if after[name] != before.get(name)} == {
        f"orders/{keys[3]}.{suffix}" for suffix in ("parquet", "json", "stamp.json")
    }


def test_failing_rows_are_set_aside_with_every_reason(shop) -> None:
    day = shop.days(1)[0]
    prices, items, shops = [1.0] * 20, [1] * 20, ["north"] * 20
    prices[3], items[3], shops[7] = -1.0, 60, "west"
    shop.csv(day, shop.orders(day, price=prices, items=items, shop=shops))
    done = ingest(shop.project, "orders", [day]).days[0]
    assert (done.status, done.quarantined_rows, done.manifest.rows, done.manifest.quarantined_rows) == (
        "written",
        2,
        18,
        2,
    )
    aside = pq.read_table(quarantine_path(shop.data, "orders", day))
    assert aside["reason"].to_pylist() == [
        "price = -1.0 fails in_range(0, 100); items = 60 fails fewer than 50",
        "shop = 'west' fails isin(['north', 'south'])",
    ]
    assert aside["price"].to_pylist() == [-1.0, 1.0]
    evidence = {check.name: check.evidence for check in done.checks}
    assert evidence["quarantine"] == {"set_aside": 2, "rows": 20, "max_share": 0.1}
    # Corrected at the source, nothing is set aside any more.
    shop.csv(day)
    assert ingest(shop.project, "orders", [day]).days[0].quarantined_rows == 0
    assert not quarantine_path(shop.data, "orders", day).exists()


def test_a_changed_contract_judges_again(shop) -> None:
    day = shop.days(1)[0]
    shop.csv(day)
    old = ingest(shop.project, "orders", [day]).days[0]
    contract = shop.folder / CONTRACT_FILE
    source = contract.read_text()
    contract.write_text("# A comment changes nothing.\n" + source)
    assert pending(shop.project, shop.dataset(), [day]) == {}
    contract.write_text(source.replace("in_range(0, 100)", "in_range(0, 200)"))
    assert "another version of the contract" in pending(shop.project, shop.dataset(), [day])[day]
    new = ingest(shop.project, "orders", [day]).days[0]
    assert (new.status, new.manifest) == ("written", old.manifest)
    contract.write_text(source.replace("in_range(0, 100)", "in_range(0, 2)"))
    before = snapshot(shop.data)
    assert ingest(shop.project, "orders", [day]).days[0].status == "failed"
    assert snapshot(shop.data) == before
    with pytest.raises(Exception, match="another version of the contract"):
        require_stamps(shop.data, "orders", [day], contract_digest(shop.dataset(), shop.folder))


def test_a_damaged_partition_is_written_anew(shop) -> None:
    day = shop.days(1)[0]
    shop.csv(day)
    old = ingest(shop.project, "orders", [day]).days[0].manifest
    path = shop.data / "orders" / f"{day}.parquet"
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)
    assert ingest(shop.project, "orders", [day]).days[0].status == "written"
    assert read_manifest(shop.data, "orders", day).content_digest == old.content_digest
    read_table(shop.data, "orders", day, verify_bytes=True)


@pytest.mark.parametrize("key", ["2023-12-31", "2025-01-01", "2024-1-1", "2024-02-30", "all", "../../etc"])
def test_what_is_no_partition_is_said_so(shop, key: str) -> None:
    result = ingest(shop.project, "orders", [key]).days[0]
    assert result.status == "failed"
    assert "is no partition of orders" in result.findings[0].error


def test_a_dataset_without_time_has_one_partition(make_shop) -> None:
    shop = make_shop(source="{kind: files, url: in, pattern: everything.csv, format: csv}", partitions="{kind: none}")
    shop.csv("2024-01-01").rename(shop.inbox / "everything.csv")
    result = ingest(shop.project, "orders", ["all"]).days[0]
    assert (result.status, result.manifest.key, result.manifest.rows) == ("written", "all", 20)
    assert ingest(shop.project, "orders", ["all"]).days[0].status == "unchanged"


# Faults 8, 12 and 19.


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_leaves_what_was_there_and_works_again_later(shop) -> None:
    keys = shop.days(2)
    shop.csv(keys[0])
    ingest(shop.project, "orders", keys[:1])
    before = snapshot(shop.data)
    shop.csv(keys[0], shop.orders(keys[0], price=[2.0] * 20))
    shop.csv(keys[1])
    with file_size_limit(1000):
        result = ingest(shop.project, "orders", keys)
    assert statuses(result) == dict.fromkeys(keys, "failed")
    assert "cannot be written" in result.findings[0].error
    assert snapshot(shop.data) == before
    assert statuses(ingest(shop.project, "orders", keys)) == dict.fromkeys(keys, "written")


def test_a_place_that_cannot_be_written_is_named(shop) -> None:
    shop.data.parent.mkdir(exist_ok=True)
    shop.data.write_text("a file in the way")
    with pytest.raises(IngestError, match="data"):
        ingest(shop.project, "orders", shop.days(1))


def test_two_ingests_of_one_day_write_it_once(shop) -> None:
    keys = shop.days(5)
    for key in keys:
        shop.csv(key)
    results = []
    threads = [threading.Thread(target=lambda: results.append(ingest(shop.project, "orders", keys))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("".join(set(statuses(result).values())) for result in results) == ["unchanged", "written"]


@pytest.mark.fault
def test_kill_at_any_moment_leaves_whole_partitions(shop) -> None:
    keys = shop.days(60)
    for key in keys:
        shop.csv(key)
    code = (
        "import sys; from pathlib import Path; from mtac_assets.spec.project import find_project;"
        "from mtac_assets.data.ingest import ingest;"
        "import mtac_assets.data.contract.judge, mtac_assets.data.ingest_write, pandera.pandas; print('go', flush=True);"
        "ingest(find_project(Path(sys.argv[1]), 'local'), 'orders', sys.argv[2:])"
    )
    for delay in (0.0, 0.03, 0.06, 0.1, 0.15, 0.2):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(shop.project.root), *keys],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for manifest in (shop.data / "orders").glob("????-??-??.json") if shop.data.exists() else ():
            read_table(shop.data, "orders", manifest.stem, verify_bytes=True)
    assert not ingest(shop.project, "orders", keys).failed


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "empty"),
        (b"PAR1", "not readable as Parquet"),
        (None, "not readable as Parquet"),
    ],
    ids=["empty", "a stub", "truncated"],
)
def test_a_broken_parquet_file_is_named(parquet_shop, content: bytes | None, error: str) -> None:
    day = parquet_shop.days(1)[0]
    path = parquet_shop.parquet(day)
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    result = ingest(parquet_shop.project, "orders", [day]).days[0]
    assert result.status == "failed"
    assert error in result.findings[0].error
    assert result.findings[0].where == "in/orders-20240101.parquet"


def test_zero_rows_is_a_failure(parquet_shop) -> None:
    day = parquet_shop.days(1)[0]
    parquet_shop.parquet(day, parquet_shop.orders(day).slice(0, 0))
    result = ingest(parquet_shop.project, "orders", [day]).days[0]
    assert (result.status, result.findings[0].error) == ("failed", "no rows")


def test_a_file_of_another_day_is_refused(parquet_shop) -> None:
    first, second = parquet_shop.days(2)
    parquet_shop.parquet(first)
    parquet_shop.parquet(second).write_bytes((parquet_shop.inbox / "orders-20240101.parquet").read_bytes())
    result = ingest(parquet_shop.project, "orders", [first, second])
    assert statuses(result) == {first: "written", second: "failed"}
    assert "20 of 20 rows are not of 2024-01-02" in result.days[1].findings[0].error


def test_one_row_of_another_day_is_refused(parquet_shop) -> None:
    day = parquet_shop.days(1)[0]
    parquet_shop.parquet(day, pa.concat_tables([parquet_shop.orders(day), parquet_shop.orders("2024-01-02", 1)]))
    finding = ingest(parquet_shop.project, "orders", [day]).days[0].findings[0]
    assert ("1 of 21 rows" in finding.error, finding.where.endswith("row 21")) == (True, True)


def test_duplicated_rows_are_refused(parquet_shop) -> None:
    day = parquet_shop.days(1)[0]
    parquet_shop.parquet(day, pa.concat_tables([parquet_shop.orders(day)] * 2))
    result = ingest(parquet_shop.project, "orders", [day]).days[0]
    assert result.status == "failed"
    assert "20 × key: unique" in result.findings[0].error


def test_a_missing_file_and_a_missing_folder_are_named(shop) -> None:
    day = shop.days(1)[0]
    assert "does not exist" in ingest(shop.project, "orders", [day]).days[0].findings[0].error
    shop.inbox.rmdir()
    assert "does not exist" in ingest(shop.project, "orders", [day]).days[0].findings[0].error


def test_a_source_that_went_away_keeps_the_partition(shop) -> None:
    day = shop.days(1)[0]
    path = shop.csv(day)
    ingest(shop.project, "orders", [day])
    path.unlink()
    before = snapshot(shop.data)
    assert pending(shop.project, shop.dataset(), [day]) == {day: "its source is gone"}
    assert ingest(shop.project, "orders", [day]).days[0].status == "failed"
    assert snapshot(shop.data) == before


def test_a_broken_contract_stops_before_any_day(shop) -> None:
    day = shop.days(1)[0]
    shop.csv(day)
    shop.rewrite(contract="import pandera.pandas as pa\nschema = pa.DataFrameSchema({}, strict=True)\n")
    with pytest.raises(ContractError, match="does not declare"):
        ingest(shop.project, "orders", [day])
    assert not list((shop.data / "orders").iterdir())
