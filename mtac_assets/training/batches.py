"""The arrays of a training set as tensors, and which rows a step learns from.

Rows come as one endless stream: epoch after epoch, each in its own keyed order (`data.sampler`). Step s takes places
`s * batch_size` up to `(s + 1) * batch_size` of the stream, so that every batch is full: where an epoch ends inside a batch, the
next epoch's order goes on. No row is dropped, padded or weighted. Training ends with the first step that completes the last epoch;
the rest of its batch (at most batch_size - 1 rows) comes from the order that would have followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtac_assets.data.sampler import indices
from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import TrainingRefused

SOURCE = "rows"
PLACES_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Split:
    """One split: numeric [N, F] float32 (NaN = missing), categorical [N, C] int32 (0 = missing or unseen), label [N] float32."""

    numeric: Tensor
    categorical: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return (
            self.numeric.index_select(0, index_B),
            self.categorical.index_select(0, index_B),
            self.label.index_select(0, index_B),
        )

    def slice(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return self.numeric[start:stop], self.categorical[start:stop]


def open_split(folder: Path, split: str) -> Split:
    """Map the arrays of `split`; memory is taken only by the pages that are read. TrainingRefused where they do not fit or are empty."""
    # Copy-on-write: torch wants writable memory, and nothing may reach the file.
    arrays = [np.load(folder / f"{split}.{name}.npy", mmap_mode="c") for name in ("numeric", "categorical", "label")]
    numeric, categorical, label = arrays
    if not len(label) or not len(numeric) == len(categorical) == len(label):
        lengths = ", ".join(f"{len(array)}" for array in arrays)
        raise TrainingRefused(
            Finding(
                f"the split {split} has {lengths} rows",
                str(folder),
                "equal numbers, at least 1",
                "build the training set again",
            )
        )
    return Split(torch.from_numpy(numeric), torch.from_numpy(categorical), torch.from_numpy(label))


def steps_of(rows: int, epochs: int, batch_size: int) -> int:
    """Steps until every row was seen `epochs` times."""
    return -(-rows * epochs // batch_size)


def rows_of_step(seed: int, rows: int, step: int, batch_size: int) -> np.ndarray:
    """int64 [batch_size]: the rows that step `step` (from 0) learns from. A pure function: no state, no order of asking."""
    steps = max(1, min(PLACES_AT_ONCE, rows) // batch_size)
    first = step // steps * steps
    stretch = _rows_of_places(seed, rows, first * batch_size, (first + steps) * batch_size)
    return stretch[(step - first) * batch_size : (step - first + 1) * batch_size].copy()


@lru_cache(maxsize=2)
def _rows_of_places(seed: int, rows: int, place: int, end: int) -> np.ndarray:
    """Rows at places `place` to `end` of the endless stream. Many at a time, because a batch alone costs 0.5 ms of numpy calls."""
    parts = []
    while place < end:
        epoch, start = divmod(place, rows)
        count = min(rows - start, end - place)
        parts.append(indices(seed, SOURCE, epoch, rows, start, count))
        place += count
    return np.concatenate(parts)
