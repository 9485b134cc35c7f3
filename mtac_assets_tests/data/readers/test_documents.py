"""Texts that a function makes: what is no UTF-8 or too long is set aside by name, and a change of code is a change of source."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.ingest_pending import pending
from mtac_assets.data.partitions import partition_path, quarantine_path, read_table
from mtac_assets.data.source_changes import changed_sources
from mtac_assets.spec.errors import SpecError
from mtac_assets.spec.load import load_dataset
from mtac_assets_tests.texts import make_texts

BAD = """
def documents():
    for n in range(30):
        yield f"good-{n}", f"text {n}"
    yield "latin", "caf\\xe9".encode("latin-1")
    yield "one line", b"x" * 100_000_000
    yield "half a character", "\\ud83d"
"""


def test_texts_arrive_with_their_sizes_in_utf8(tmp_path: Path):
    project = make_texts(tmp_path, prose='def documents():\n    yield "b", "grün"\n    yield "a", "grün".encode()\n')
    (day,) = ingest(project, "prose", ["all"]).days
    assert day.status == "written"
    rows = read_table(project.state.data, "prose", "all").to_pylist()
    assert rows == [{"document": name, "text": "grün", "bytes": 5} for name in "ab"]


def test_what_is_no_utf8_or_too_long_is_set_aside_with_its_reason_and_the_rest_is_taken(tmp_path: Path):
    project = make_texts(tmp_path, prose=BAD)
    (day,) = ingest(project, "prose", ["all"]).days
    assert (day.status, day.quarantined_rows) == ("written", 3)
    aside = {
        row["document"]: row for row in pq.read_table(quarantine_path(project.state.data, "prose", "all")).to_pylist()
    }
    assert "no UTF-8 at byte 3 of 4" in aside["latin"]["reason"]
    assert "100,000,000 bytes, 20,000 allowed" in aside["one line"]["reason"]
    assert "no UTF-8" in aside["half a character"]["reason"]
    assert aside["one line"]["text"] is None
    assert partition_path(project.state.data, "prose", "all").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def documents():\n    yield 'a'\n", "yields 'a'"),
        ("def documents():\n    yield 'a', 3\n", "the text of 'a' is int"),
        ("def documents():\n    yield 'a', 'b'\n    raise OSError('gone')\n", "the function fails: OSError: gone"),
        ("def documents():\n    yield 'a', 'b'\n    yield 'a', 'c'\n", "key"),
        ("def documents():\n    return iter(())\n", "0 rows"),
    ],
)
def test_a_function_at_fault_fails_its_dataset_by_name(tmp_path: Path, source: str, said: str):
    project = make_texts(tmp_path, prose=source)
    (day,) = ingest(project, "prose", ["all"]).days
    assert day.status == "failed"
    assert said in str(day.findings[0])


def test_a_function_that_is_not_there_is_found_by_the_check(tmp_path: Path):
    project = make_texts(tmp_path, prose="def document():\n    pass\n")
    with pytest.raises(SpecError, match="defines no `documents`"):
        load_dataset(project, "prose")


def test_changed_code_is_a_changed_source_and_is_read_again(tmp_path: Path):
    project = make_texts(tmp_path)
    (day,) = ingest(project, "sums", ["all"]).days
    assert day.manifest is not None
    contents = {"all": day.manifest.content_digest}
    dataset = load_dataset(project, "sums")
    assert not changed_sources(project, "sums", contents)
    assert not pending(project, dataset, ["all"])
    source = project.datasets()["sums"].parent / "source.py"
    source.write_text(source.read_text().replace("range(80)", "range(81)"))
    assert changed_sources(project, "sums", contents) == ("all",)
    (day,) = ingest(project, "sums", ["all"]).days
    assert (day.status, day.manifest.rows if day.manifest else 0) == ("written", 81)
