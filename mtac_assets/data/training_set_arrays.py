"""One split written as .npy files row block by row block: memory holds one block, whatever the length of the split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

ARRAYS = ("numeric", "categorical", "label", "day", "rows")
"""float32 [N, F], int32 [N, C], float32 [N], int32 [N] days since 1970-01-01, and sorted uint64 [N] row hashes."""


def array_path(folder: Path, split: str, name: str) -> Path:
    return folder / f"{split}.{name}.npy"


class SplitWriter:
    """Writes the arrays of one split whose number of rows is known beforehand; a context manager.

    `digest` is over what the arrays say (name, type, width and values, row by row), not over the files.
    """

    def __init__(self, folder: Path, split: str, rows: int, widths: Mapping[str, int]) -> None:
        shapes = {
            "numeric": (rows, widths["numeric"]),
            "categorical": (rows, widths["categorical"]),
            "label": (rows,),
            "day": (rows,),
        }
        types = {"numeric": "<f4", "categorical": "<i4", "label": "<f4", "day": "<i4"}
        self._folder, self._split, self._rows, self._types = folder, split, rows, types
        self._files: dict[str, IO[bytes]] = {}
        self._hashes: dict[str, hashlib._Hash] = {}
        self._row_hashes = np.empty(rows, dtype="<u8")  # 8 bytes a row: sorted at the end, hence whole
        self.written = 0
        for name, shape in shapes.items():
            file = array_path(folder, split, name).open("wb")
            self._files[name] = file
            np.lib.format.write_array_header_1_0(file, {"descr": types[name], "fortran_order": False, "shape": shape})
            self._hashes[name] = hashlib.sha256(f"{name} {types[name]} {shape}\n".encode())

    def append(self, arrays: Mapping[str, np.ndarray], row_hashes: np.ndarray) -> None:
        """One block of rows, each array with its first axis over these rows."""
        for name, file in self._files.items():
            block = np.ascontiguousarray(arrays[name], dtype=self._types[name])
            file.write(block.data)
            self._hashes[name].update(block.data)
        self._row_hashes[self.written : self.written + len(row_hashes)] = row_hashes
        self.written += len(row_hashes)

    def finish(self) -> str:
        """Close the files; the digest of the split."""
        self.close()
        assert self.written == self._rows, f"{self._split}: {self.written} rows written of {self._rows}"
        self._row_hashes.sort()
        np.save(array_path(self._folder, self._split, "rows"), self._row_hashes)
        total = hashlib.sha256()
        for name in sorted(self._hashes):
            total.update(self._hashes[name].digest())
        total.update(hashlib.sha256(self._row_hashes.data).digest())
        return total.hexdigest()

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
