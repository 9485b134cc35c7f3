"""The drift rules in common use, as statistics where more is more drift, with the threshold each is usually given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtac_assets.monitoring.drift.reference import Block

BINS, SAMPLE, FLOOR = 10, 20_000, 1e-4


class UsualRules:
    """PSI of ten quantile bins, largest of the columns (0.1); Kolmogorov-Smirnov, smallest p of the columns (0.05);
    share of columns whose p is below 0.05 (0.5). Nulls are a bin of PSI's and left out of KS; categories count by code."""

    thresholds = {"PSI > 0.1": 0.1, "KS on any column": 0.95, "half of the columns by KS": 0.5}  # noqa: RUF012

    def __init__(self, history: Sequence[Block]) -> None:
        table = {name: np.concatenate([_columns(block)[name] for block in history]) for name in _columns(history[0])}
        self.samples = {name: np.sort(values[~np.isnan(values)][:: max(len(values) // SAMPLE, 1)]) for name, values in table.items()}  # fmt: skip
        self.edges = {name: np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])) for name, values in self.samples.items()}  # fmt: skip
        self.shares = {name: self._shares(name, values) for name, values in table.items()}

    def statistics(self, block: Block) -> dict[str, float]:
        columns = _columns(block)
        psi = max(self._psi(name, values) for name, values in columns.items())
        p = np.array([self._ks(self.samples[name], values[~np.isnan(values)]) for name, values in columns.items()])
        return dict(zip(self.thresholds, (psi, 1 - float(p.min()), float((p < 0.05).mean())), strict=True))

    def _shares(self, name: str, values: np.ndarray) -> np.ndarray:
        edges = self.edges[name]
        places = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
        return np.maximum(np.bincount(places, minlength=len(edges) + 2) / len(values), FLOOR)

    def _psi(self, name: str, values: np.ndarray) -> float:
        now, before = self._shares(name, values), self.shares[name]
        return float(((now - before) * np.log(now / before)).sum())

    @staticmethod
    def _ks(sample: np.ndarray, values: np.ndarray) -> float:
        from scipy.special import kolmogorov

        if not len(values):
            return 0.0
        values = np.sort(values)
        both = np.concatenate([sample, values])
        gap = np.abs(
            np.searchsorted(sample, both, "right") / len(sample) - np.searchsorted(values, both, "right") / len(values)
        ).max()
        return float(kolmogorov(gap * np.sqrt(len(sample) * len(values) / (len(sample) + len(values)))))


def _columns(block: Block) -> dict[str, np.ndarray]:
    return {**block.rows.numeric, **{name: held.codes.astype(float) for name, held in block.rows.categorical.items()}}
