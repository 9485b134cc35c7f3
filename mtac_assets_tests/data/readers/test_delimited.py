"""CSV is read in the contract's types; what does not fit is named row by row."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mtac_assets.data.contract.columns import CATEGORY, Columns
from mtac_assets.data.readers.delimited import read_csv
from mtac_assets.data.readers.local import SourceError

COLUMNS = Columns({"code": CATEGORY, "n": pa.int16(), "x": pa.float64(), "at": pa.timestamp("us", tz="UTC")})
GOOD = b"code,n,x,at\n01,5,0.1,2024-01-01T00:00:00Z\nB,,NA,2024-01-01T01:00:00+01:00\n"


def rows(data: bytes) -> list[dict[str, object]]:
    return read_csv(data, COLUMNS, "a.csv").table.to_pylist()


def test_types_are_those_of_the_contract() -> None:
    first, second = rows(GOOD)
    assert (first["code"], first["n"], first["x"]) == ("01", 5, 0.1)
    assert (second["n"], second["x"]) == (None, None)
    assert first["at"] == second["at"]


def test_column_order_and_a_byte_order_mark_do_not_matter() -> None:
    shuffled = b"\xef\xbb\xbfat,x,n,code\n2024-01-01T00:00:00Z,0.1,5,01\n"
    assert rows(shuffled) == rows(GOOD)[:1]


def test_quoted_text_is_never_null() -> None:
    got = rows(b'code,n,x,at\n"NA",1,1,2024-01-01T00:00:00Z\nNA,1,1,2024-01-01T00:00:00Z\n')
    assert [row["code"] for row in got] == ["NA", None]


def test_values_that_do_not_fit_are_faults_of_their_rows() -> None:
    lines = [
        "code,n,x,at",
        "a,1,1,2024-01-01T00:00:00Z",
        "b,40000,1,2024-01-01T00:00:00Z",
        "c,1.0,?,2024-01-01T00:00:00",
    ]
    typed = read_csv("\n".join(lines).encode(), COLUMNS, "a.csv")
    reasons = {(i, fault.reason(i)) for fault in typed.faults for i in range(3) if fault.rows[i]}
    assert reasons == {
        (1, "n: '40000' is no int16"),
        (2, "n: '1.0' is no int16"),
        (2, "x: '?' is no double"),
        (2, "at: '2024-01-01T00:00:00' is no timestamp[us, tz=UTC]"),
    }
    assert typed.table["n"].to_pylist() == [1, None, None]


def test_the_fast_and_the_slow_way_read_alike() -> None:
    extra = b"C,oops,3,2024-01-01T00:00:00Z\n"
    slow = read_csv(GOOD + extra, COLUMNS, "a.csv").table.slice(0, 2)
    assert slow.to_pylist() == rows(GOOD)
    assert slow.schema == read_csv(GOOD, COLUMNS, "a.csv").table.schema


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"code,n,x\n", "'at' is missing"),
        (b"code,num,x,at\n", "'n' is missing (there is 'num'"),
        (b"code,n,x,at,more\n", "'more' is not declared"),
        (b"code,n,n,x,at\n", "'n' is there twice"),
        (b"code,n,x,at\na,1,1\n", "not readable as CSV"),
        (b"\xff\xfe\x00", "not readable as CSV"),
    ],
)
def test_a_file_that_is_not_as_declared_is_refused(data: bytes, error: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_csv(data, COLUMNS, "a.csv")
    assert error in str(caught.value)
    assert caught.value.findings[0].where == "a.csv"


def test_other_columns_are_left_out_only_where_declared() -> None:
    wider = Columns(COLUMNS.types, leave_out_extra=True)
    assert read_csv(b"more," + GOOD.replace(b"\n", b"\n9,")[:-2], wider, "a.csv").table.column_names == COLUMNS.names
