"""Every kind of source gives the same partitions from the same rows."""

from __future__ import annotations

import importlib
import json
import sqlite3
import sys
import zipfile
from pathlib import Path

import fsspec
import pyarrow.csv as pacsv
import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.ingest_pending import pending
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.state import source_state

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
SQL_SOURCE = '{kind: sql, url_env: ORDERS_URL, query: "select * from orders where day >= :start and day < :end"}'


@pytest.fixture
def expected(make_shop, tmp_path: Path) -> dict[str, str]:
    """Content digests of the days, read from CSV files."""
    shop = make_shop(tmp_path / "reference")
    for key in KEYS:
        shop.csv(key)
    return digests(ingest(shop.project, "orders", KEYS))


def digests(result) -> dict[str, str]:
    assert not result.failed, result.findings
    return {day.key: day.manifest.content_digest for day in result.days}


def test_parquet_files(parquet_shop, expected: dict[str, str]) -> None:
    for key in KEYS:
        parquet_shop.parquet(key)
    assert digests(ingest(parquet_shop.project, "orders", KEYS)) == expected


def test_compressed_files_in_folders_by_month(make_shop, expected: dict[str, str]) -> None:
    shop = make_shop(source='{kind: files, url: in, pattern: "{date:%Y/%m}/orders-{date:%d}.csv.gz", format: csv}')
    for key in KEYS:
        path = shop.inbox / f"2024/01/orders-{key[-2:]}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with fsspec.open(str(path), "wb", compression="gzip") as stream:
            pacsv.write_csv(shop.orders(key), stream)
    assert digests(ingest(shop.project, "orders", KEYS)) == expected


def test_any_file_system_that_fsspec_knows(make_shop, expected: dict[str, str]) -> None:
    shop = make_shop(
        source='{kind: files, url: "memory://orders-bucket/in", pattern: "orders-{date}.csv", format: csv}'
    )
    for key in KEYS:
        with fsspec.open(f"memory://orders-bucket/in/orders-{key}.csv", "wb") as stream:
            pacsv.write_csv(shop.orders(key), stream)
    result = ingest(shop.project, "orders", KEYS)
    assert digests(result) == expected
    assert result.days[0].manifest.source["uri"] == f"memory://orders-bucket/in/orders-{KEYS[0]}.csv"
    assert pending(shop.project, shop.dataset(), KEYS) == {}
    with fsspec.open(f"memory://orders-bucket/in/orders-{KEYS[1]}.csv", "ab") as stream:
        stream.write(b"\n")
    assert list(pending(shop.project, shop.dataset(), KEYS)) == [KEYS[1]]
    fsspec.filesystem("memory").rm("/orders-bucket", recursive=True)
    with pytest.raises(SourceError, match="folder does not exist"):
        source_state(shop.dataset(), KEYS, shop.project.root)


@pytest.fixture
def database(tmp_path: Path, make_shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "s3cret.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(
        "create table orders (day text, at text, shop text, price real, items integer, returned integer)"
    )
    for key in KEYS:
        rows = make_shop(tmp_path / key).orders(key).to_pylist()
        connection.executemany(
            "insert into orders values (:day, :at, :shop, :price, :items, :returned)",
            [row | {"at": row["at"].isoformat()} for row in rows],
        )
    connection.commit()
    connection.close()
    monkeypatch.setenv("ORDERS_URL", f"sqlite:///{path}")
    return path


def test_a_query(make_shop, database: Path, expected: dict[str, str]) -> None:
    shop = make_shop(source=SQL_SOURCE)
    assert digests(ingest(shop.project, "orders", KEYS)) == expected
    # A query's state cannot be told, so it is asked again, and the same rows change nothing.
    assert set(pending(shop.project, shop.dataset(), KEYS)) == set(KEYS)
    assert {day.status for day in ingest(shop.project, "orders", KEYS).days} == {"unchanged"}
    recorded = "".join(path.read_text() for path in shop.project.state.root.rglob("*.json"))
    assert "ORDERS_URL" in recorded
    assert "s3cret" not in recorded


def test_days_apart_are_asked_apart(make_shop, database: Path, expected: dict[str, str]) -> None:
    shop = make_shop(source=SQL_SOURCE)
    result = ingest(shop.project, "orders", [KEYS[2], KEYS[0], "2024-06-01"])
    assert [day.status for day in result.days] == ["written", "written", "failed"]
    assert result.days[0].manifest.content_digest == expected[KEYS[2]]
    assert result.days[2].findings[0].error == "no rows"


def test_a_query_that_fails_says_so_without_the_address(make_shop, database: Path, monkeypatch) -> None:
    shop = make_shop(source=SQL_SOURCE.replace("from orders", "from nowhere"))
    finding = ingest(shop.project, "orders", KEYS[:1]).days[0].findings[0]
    assert "nowhere" in finding.error
    monkeypatch.setenv("ORDERS_URL", "nosuchdb://team:hidden@host/x")
    finding = ingest(shop.project, "orders", KEYS[:1]).days[0].findings[0]
    assert "query fails" in finding.error
    assert "hidden" not in str(finding)
    monkeypatch.delenv("ORDERS_URL")
    assert "ORDERS_URL is not set" in ingest(shop.project, "orders", KEYS[:1]).days[0].findings[0].error


@pytest.fixture
def distribution(tmp_path: Path, make_shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution of data whose package cannot be imported."""
    site = tmp_path / "site"
    (site / "orders_data").mkdir(parents=True)
    (site / "orders_data" / "__init__.py").write_text("raise ImportError('gone')")
    info = site / "orders_data-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orders-data\nVersion: 1.2\n")
    shop = make_shop(tmp_path / "rows")
    lines = [shop.csv(key).read_text().splitlines() for key in KEYS]
    text = "\n".join([lines[0][0], *(line for part in lines for line in part[1:])])
    with zipfile.ZipFile(site / "orders_data" / "orders.csv.zip", "w") as archive:
        archive.writestr("orders.csv", text)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    importlib.invalidate_caches()
    return site / "orders_data" / "orders.csv.zip"


PACKAGE_SOURCE = "{kind: package, distribution: orders-data, path: orders_data/orders.csv.zip, format: csv}"


def test_a_file_in_a_package(make_shop, distribution: Path, expected: dict[str, str]) -> None:
    shop = make_shop(source=PACKAGE_SOURCE)
    result = ingest(shop.project, "orders", [*KEYS, "2024-01-04"])
    assert {day.key: day.manifest.content_digest for day in result.days[:3]} == expected
    assert result.days[3].findings[0].error == "no rows"
    assert result.days[0].manifest.source["uri"] == "package:orders-data==1.2/orders_data/orders.csv.zip"
    assert json.dumps(dict(result.days[0].manifest.source)).count(str(distribution.parent)) == 0


def test_a_row_without_a_day_refuses_the_whole_source(make_shop, distribution: Path) -> None:
    shop = make_shop(source=PACKAGE_SOURCE)
    with zipfile.ZipFile(distribution) as archive:
        text = archive.read("orders.csv").decode()
    with zipfile.ZipFile(distribution, "w") as archive:
        archive.writestr("orders.csv", text.replace("2024-01-02", "soon", 1))
    result = ingest(shop.project, "orders", KEYS)
    assert {day.status for day in result.days} == {"failed"}
    assert "1 rows have no valid date" in result.findings[0].error
    assert result.findings[0].where.endswith("row 21")


def test_a_package_or_file_that_is_missing_is_named(make_shop, distribution: Path) -> None:
    shop = make_shop(source=PACKAGE_SOURCE)
    distribution.write_bytes(distribution.read_bytes()[:100])
    assert "not readable as zip" in ingest(shop.project, "orders", KEYS[:1]).findings[0].error
    distribution.unlink()
    assert "has no file" in ingest(shop.project, "orders", KEYS[:1]).findings[0].error
    shop.rewrite(source=PACKAGE_SOURCE.replace("orders-data", "no-such-thing"))
    finding = ingest(shop.project, "orders", KEYS[:1]).findings[0]
    assert (finding.error, finding.remedy) == ("the distribution is not installed", "pip install no-such-thing")
