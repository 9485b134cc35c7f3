"""What is remembered of partitions, and what makes them be looked at again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mtac_assets.provenance.digest import sha256_bytes
from mtac_assets.provenance.files import write_atomic, write_json
from mtac_assets.provenance.partitions_intact import PartitionDamagedError, intact

KEYS = ("2024-01-01", "2024-01-02", "2024-01-03")


class Shelf:
    """Partitions of one dataset, and a clock's worth of age for their files."""

    def __init__(self, root: Path) -> None:
        self.data, self.cache = root / "data", root / "cache"
        self.folder = self.data / "tides"
        for key in KEYS:
            self.write(key, f"rows of {key}".encode())

    def write(self, key: str, rows: bytes) -> None:
        write_atomic(self.folder / f"{key}.parquet", rows)
        content = sha256_bytes(b"content" + rows)
        manifest = {"content_digest": content, "file_size": len(rows), "file_sha256": sha256_bytes(rows)}
        write_json(self.folder / f"{key}.json", {"schema_version": 1, **manifest})
        self.stamp(key, "first", content)

    def stamp(self, key: str, contract: str, content: str | None = None) -> None:
        content = content or json.loads((self.folder / f"{key}.json").read_bytes())["content_digest"]
        document = {"content_digest": content, "contract_digest": contract}
        write_json(self.folder / f"{key}.stamp.json", document)

    def age(self) -> None:
        """As if all had been written a while ago: what was written just now is never remembered."""
        self._past = getattr(self, "_past", time.time() - 1000) + 10
        for path in (*self.folder.iterdir(), self.folder):
            if path.stat().st_mtime > time.time() - 5:
                os.utime(path, (self._past, self._past))

    def ask(self, *keys: str) -> dict[str, tuple[str, str | None]]:
        found = intact(self.data, "tides", keys or KEYS, self.cache)
        return {name.partition("/")[2]: value for name, value in found.items()}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_what_was_verified_is_not_read_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.age()
    first = shelf.ask()
    assert set(first) == set(KEYS)
    monkeypatch.setattr("mtac_assets.provenance.partitions_intact.sha256_file", lambda _: pytest.fail("read again"))
    assert shelf.ask() == first


def test_a_replaced_stamp_is_noticed_for_every_key_whoever_was_asked_first(shelf: Shelf) -> None:
    shelf.age()
    shelf.ask()
    for key in KEYS:
        shelf.stamp(key, "second")
    shelf.age()
    assert shelf.ask(KEYS[0])[KEYS[0]][1] == "second"
    assert {contract for _, contract in shelf.ask().values()} == {"second"}


def test_a_stamp_that_was_replaced_just_now_is_noticed(shelf: Shelf) -> None:
    shelf.age()
    shelf.ask()
    shelf.stamp(KEYS[1], "second")
    assert shelf.ask()[KEYS[1]][1] == "second"
    shelf.stamp(KEYS[1], "third")
    assert shelf.ask()[KEYS[1]][1] == "third"


def test_another_day_is_another_content(shelf: Shelf) -> None:
    shelf.age()
    before = shelf.ask()
    shelf.write(KEYS[1], b"corrected rows")
    shelf.age()
    after = shelf.ask()
    assert {key for key in KEYS if before[key] != after[key]} == {KEYS[1]}


@pytest.mark.parametrize("aged", [True, False])
def test_bytes_that_changed_in_place_are_damage(shelf: Shelf, *, aged: bool) -> None:
    shelf.age()
    shelf.ask()
    path = shelf.folder / f"{KEYS[2]}.parquet"
    path.write_bytes(path.read_bytes().upper())
    if aged:
        shelf.age()
    with pytest.raises(PartitionDamagedError, match=KEYS[2]):
        shelf.ask()


def test_what_is_gone_is_gone(shelf: Shelf) -> None:
    shelf.age()
    shelf.ask()
    (shelf.folder / f"{KEYS[0]}.parquet").unlink()
    (shelf.folder / f"{KEYS[1]}.json").unlink()
    (shelf.folder / f"{KEYS[2]}.stamp.json").unlink()
    shelf.age()
    found = shelf.ask()
    assert set(found) == {KEYS[2]}
    assert found[KEYS[2]][1] is None
    assert intact(shelf.data, "no such dataset", KEYS, shelf.cache) == {}
