"""Scores of baselines, kept by the digest of all that they follow from: the rows, the labels, the seed, the libraries and our code.

For a replay alone, which tells what a year would have come to: the report and the decision of one model, and all policies, ask for the same
baselines. A decision that counts fits its own (`promotion.gather`: no earlier step's word is trusted).
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mtac_assets.evaluation import baselines
from mtac_assets.evaluation.baselines import Rows, fit_and_score
from mtac_assets.provenance.digest import digest_json, sha256_bytes
from mtac_assets.provenance.files import atomic_path

LIBRARIES = ("numpy", "scipy", "scikit-learn")


def score_once(folder: Path, name: str, train: Rows, labels: np.ndarray, test: Rows, seed: int) -> np.ndarray:
    """As `fit_and_score`, kept in `folder`; a file that does not hold one score for each test row is made anew."""
    path = folder / f"{_key(name, train, labels, test, seed)}.npy"
    found = _read(path, len(test.numeric))
    if found is None:
        found = fit_and_score(name, train, labels, test, seed)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, found)
    return found


def _read(path: Path, rows: int) -> np.ndarray | None:
    try:
        found = np.load(path)
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return found if found.shape == (rows,) and found.dtype == np.float64 else None


def _key(name: str, train: Rows, labels: np.ndarray, test: Rows, seed: int) -> str:
    arrays = {
        f"{part}.{field}": array
        for part, rows in (("train", train), ("test", test))
        for field, array in (("numeric", rows.numeric), ("categorical", rows.categorical))
    }
    return digest_json(
        {
            "baseline": name,
            "seed": seed,
            "cardinality": list(train.cardinality),
            "rows": {field: _digest(array) for field, array in {**arrays, "labels": labels}.items()},
            "libraries": {library: version(library) for library in LIBRARIES},
            "code": sha256_bytes(Path(baselines.__file__).read_bytes()),
        }
    )


def _digest(array: np.ndarray) -> list[str]:
    return [str(array.dtype), str(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()]
