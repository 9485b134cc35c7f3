"""Partitions read back: verified, typed, and counted without a dataframe library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import (
    PartitionError,
    manifest_path,
    partition_path,
    present,
    read_manifest,
    read_table,
    read_tables,
    verify,
)

DAY = "2024-01-01"


@pytest.fixture
def data(shop) -> Path:
    for day in (DAY, "2024-01-02"):
        shop.csv(day)
    assert not ingest(shop.project, "orders", [DAY, "2024-01-02"]).failed
    return shop.data


def test_rows_come_back_typed_and_in_key_order(data: Path) -> None:
    table = read_table(data, "orders", DAY, verify_bytes=True)
    assert table.num_rows == read_manifest(data, "orders", DAY).rows == 20
    assert pa.types.is_dictionary(table["shop"].type)
    assert table["items"].type == pa.int16()
    assert table["at"].type == pa.timestamp("us", tz="UTC")
    assert table["at"].to_pylist() == sorted(table["at"].to_pylist())
    assert table["returned"].null_count == 4


def test_columns_come_in_the_order_asked(data: Path) -> None:
    tables = read_tables(data, "orders", [DAY, "2024-01-02"], ["price", "at"])
    assert [table.column_names for table in tables.values()] == [["price", "at"]] * 2
    with pytest.raises(PartitionError, match="colour"):
        read_table(data, "orders", DAY, ["colour"])


def test_a_cut_file_is_refused_at_once(data: Path) -> None:
    path = partition_path(data, "orders", DAY)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PartitionError, match="bytes, as the manifest says"):
        read_table(data, "orders", DAY)


def test_a_flipped_bit_is_found_where_bytes_are_verified(data: Path) -> None:
    path = partition_path(data, "orders", DAY)
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(PartitionError, match="SHA-256"):
        read_table(data, "orders", DAY, verify_bytes=True)
    with pytest.raises(PartitionError, match="SHA-256"):
        verify(data, read_manifest(data, "orders", DAY))


def test_a_missing_partition_says_what_to_do(data: Path) -> None:
    with pytest.raises(PartitionError, match="ingest the day"):
        read_table(data, "orders", "2024-05-05")
    partition_path(data, "orders", DAY).unlink()
    with pytest.raises(PartitionError, match="the file is missing"):
        read_table(data, "orders", DAY)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_manifest_of_another_kind_is_refused(data: Path, content: str) -> None:
    manifest_path(data, "orders", DAY).write_text(content)
    with pytest.raises(PartitionError, match="manifest cannot be read"):
        read_manifest(data, "orders", DAY)


def test_present_sees_what_changed_since(data: Path, tmp_path: Path) -> None:
    first = present(data, "orders", tmp_path)
    assert list(first) == [DAY, "2024-01-02"]
    path = manifest_path(data, "orders", DAY)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rows": 7}))
    partition_path(data, "orders", "2024-01-02").unlink()
    again = present(data, "orders", tmp_path)
    assert {key: manifest.rows for key, manifest in again.items()} == {DAY: 7}
    assert present(data, "orders") == again
    assert present(data, "nothing") == {}


def test_asking_needs_no_dataframe_library() -> None:
    code = (
        "import sys; import mtac_assets.data.partitions, mtac_assets.data.contract.stamp, mtac_assets.data.contract.source,"
        "mtac_assets.data.ingest_pending, mtac_assets.data.readers.state; print(sorted({'pandas', 'pyarrow', 'numpy', 'pandera'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
