"""No secret of an address is ever written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtac_assets.data.readers.uri import local_uri, public_uri, resolve, scrub


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/path", "s3://bucket/path"),
        ("https://user@host/a.csv?X-Signature=abc#f", "https://host/a.csv"),
        ("simplecache::s3://key:secret@bucket/p", "simplecache::s3://bucket/p"),
        ("data/in", "data/in"),
        ("https://user:p@ss@host/x", "https://host/x"),
    ],
)
def test_addresses_are_recorded_without_credentials(url: str, shown: str) -> None:
    assert public_uri(url) == shown


def test_errors_that_quote_the_address_are_scrubbed() -> None:
    url = "postgresql://team:s3cret@db:5432/x?token=tok123"
    said = scrub(f"could not connect to {url}; password s3cret, token=tok123", url)
    assert "s3cret" not in said
    assert "tok123" not in said
    assert "postgresql://db:5432/x" in said


def test_paths_count_from_the_project(tmp_path: Path) -> None:
    assert resolve("in", tmp_path) == str(tmp_path / "in")
    assert resolve("/abs", tmp_path) == "/abs"
    assert resolve("memory://x", tmp_path) == "memory://x"
    assert local_uri(tmp_path / "in" / "a.csv", tmp_path) == "in/a.csv"
