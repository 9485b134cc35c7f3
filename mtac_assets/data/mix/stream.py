"""The endless stream of sequences that a language model learns from: a pure function of the seed and the place.

Place p holds a row of the source whose turn it is (`interleave`); a source's turns take its rows in the order of a permutation
keyed by (seed, source's name, epoch) (`data.sampler`), epoch after epoch. So there is no state to save and nothing to skip: any
place can be asked for at once, by any worker, in constant memory; the tokens are memory-mapped. Step s of a training takes the
places s * batch_size to (s + 1) * batch_size - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mtac_assets.data.mix.folder import TokenFolder, TokensError, rows_in
from mtac_assets.data.mix.interleave import Interleave
from mtac_assets.data.sampler import indices, place_of
from mtac_assets.spec.errors import Finding


class Identity(NamedTuple):
    """What a place holds: the source's name, the source's epoch, and the row in the source."""

    source: str
    epoch: int
    row: int


@dataclass(frozen=True)
class Schedule:
    """The stream without its tokens. `rows[j]`: rows of source j; sources in the order of their names."""

    seed: int
    sources: tuple[str, ...]
    rows: tuple[int, ...]
    interleave: Interleave

    def indices(self, place: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(source int16 [count], row int64 [count]) of `place` and those that follow.

        Raises ValueError for a negative place or count.
        """
        if place < 0 or count < 0:
            raise ValueError(f"places {place} to {place + count}: expected 0 or more")
        source_B = self.interleave.turns(place, count)
        row_B = np.empty(count, dtype=np.int64)
        bounds = zip(self.interleave.counts(place), self.interleave.counts(place + count), strict=True)
        for source, (first, last) in enumerate(bounds):
            if last > first:
                row_B[source_B == source] = self._rows(source, first, last)
        return source_B, row_B

    def identify(self, place: int) -> Identity:
        """What `place` holds."""
        source = int(self.interleave.turns(place, 1)[0])
        epoch, turn = divmod(self.interleave.counts(place)[source], self.rows[source])
        row = indices(self.seed, self.sources[source], epoch, self.rows[source], turn, 1)
        return Identity(self.sources[source], epoch, int(row[0]))

    def places(self, source: str, row: int, end: int) -> Iterator[int]:
        """The places before `end` that hold a row, in order: one an epoch."""
        number = self.sources.index(source)
        rows, turns = self.rows[number], self.interleave.counts(end)[number]
        for epoch in range(-(-turns // rows)):
            turn = epoch * rows + place_of(self.seed, source, epoch, rows, row)
            if turn < turns:
                place = self.interleave.place(number, turn)
                assert place is not None, "a turn before the end has a place"
                yield place

    def _rows(self, source: int, first: int, last: int) -> np.ndarray:
        rows, parts = self.rows[source], list[np.ndarray]()
        while first < last:
            epoch, turn = divmod(first, rows)
            count = min(last - first, rows - turn)
            parts.append(indices(self.seed, self.sources[source], epoch, rows, turn, count))
            first += count
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class RowStream:
    """The stream. Open one with `open_stream`."""

    schedule: Schedule
    sequence_length: int
    windows: tuple[np.ndarray, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names by the numbers that `rows` gives."""
        return self.schedule.sources

    def rows(self, place: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The sequences at `place` and those that follow.

        Returns:
            tokens int64 [count, T + 1] (T is `sequence_length`; the first T are the input, the last T the targets), and
            source int16 [count], a number of `sources`.

        Raises:
            ValueError: a negative place or count.
        """
        source_B, row_B = self.schedule.indices(place, count)
        tokens_BT1 = np.empty((count, self.sequence_length + 1), dtype=np.int64)
        for source, window in enumerate(self.windows):
            chosen = source_B == source
            tokens_BT1[chosen] = window[row_B[chosen]]
        return tokens_BT1, source_B

    def identify(self, place: int) -> Identity:
        """What `place` holds."""
        return self.schedule.identify(place)


def open_schedule(folder: Path, seed: int) -> Schedule:
    """The stream of a training set's manifest, without its tokens. Raises TokensError."""
    return _schedule(TokenFolder.open(folder), seed)


def open_stream(folder: Path, seed: int) -> RowStream:
    """The stream of the training set in `folder`, shuffled by `seed`. Raises TokensError where files and manifest differ."""
    opened = TokenFolder.open(folder)
    schedule = _schedule(opened, seed)
    windows: list[np.ndarray] = []
    for name, rows in zip(schedule.sources, schedule.rows, strict=True):
        tokens = opened.array("train", name, "tokens")
        found = rows_in(len(tokens), opened.sequence_length)
        if found != rows:
            finding = Finding(
                f"{found} rows of {name}, {rows} in the manifest",
                str(folder),
                "a training set as it was built",
                "build the training set again",
            )
            raise TokensError(finding)
        shape = (rows, opened.sequence_length + 1)
        strides = (opened.sequence_length * tokens.itemsize, tokens.itemsize)
        windows.append(np.lib.stride_tricks.as_strided(tokens, shape, strides, writeable=False))
    return RowStream(schedule, opened.sequence_length, tuple(windows))


def _schedule(opened: TokenFolder, seed: int) -> Schedule:
    entries = opened.manifest["sources"]
    names = tuple(entry["name"] for entry in entries)
    assert list(names) == sorted(names), "sources stand in the order of their names"
    weights = {
        stage["from_step"] * opened.batch_size: [stage["weights"][name] for name in names]
        for stage in opened.manifest["mix"]["stages"]
    }
    return Schedule(seed, names, tuple(entry["rows"] for entry in entries), Interleave.of(weights))
