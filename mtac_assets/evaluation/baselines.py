"""Baselines: plain models trained on the very rows that the model learned from. A model that does not beat them is not worth its keep.

scikit-learn's defaults, with no tuning: what a capable colleague has in ten minutes. They see the same columns as the
model (numeric [N, F] with NaN for missing, categorical [N, C] with 0 for missing or unseen), and are not told more.

- base_rate: the share of positives among the training rows, for every row.
- logistic_regression: `LogisticRegression` on standardised numbers, missing ones set to the mean with a flag column, and one-hot
  categories; categories seen fewer than 10 times share one column. Solved by Newton's method where the columns are few enough for
  their matrix of second derivatives, otherwise by the default solver (max_iter 1000), which ends further from the optimum and takes
  three times as long on flights (docs/log.md).
- hist_gradient_boosting: `HistGradientBoostingClassifier` with every default but two: `random_state` from the recipe's
  training seed, and `categorical_features`: columns of at most 255 values are split natively, larger ones (which it
  cannot take) as numbers, the codes being in the vocabulary's order. Its defaults include early stopping on a random
  tenth of the rows above 10,000 of them; that tenth is drawn from `random_state`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.spec.errors import Finding

MOST_NATIVE_CATEGORIES = 255
RARE = 10
MOST_NEWTON_COLUMNS = 1000  # 8 MB of second derivatives
MOST_DENSE_NUMBERS = 1 << 24  # 128 MB: Newton's products of dense columns are faster than those of sparse ones


@dataclass(frozen=True, eq=False)
class Rows:
    """Model input: `numeric` float32 [N, F], `categorical` int32 [N, C], `cardinality` [C] (vocabulary plus the 0)."""

    numeric: np.ndarray
    categorical: np.ndarray
    cardinality: tuple[int, ...]


def fit_and_score(name: str, train: Rows, labels: np.ndarray, test: Rows, seed: int) -> np.ndarray:
    """Train the baseline `name` on `train` with `labels` [N] of 0 and 1; its scores of `test`, float64 [M]."""
    if name != "base_rate" and len(np.unique(labels)) < 2:
        raise EvaluationError(
            Finding(
                f"all {len(labels)} training rows have one label",
                f"evaluation.baselines: {name}",
                "rows of both classes",
                "train on a longer window, or leave this baseline out",
            )
        )
    return BASELINES[name](train, labels, test, seed)


def _base_rate(train: Rows, labels: np.ndarray, test: Rows, seed: int) -> np.ndarray:
    return np.full(len(test.numeric), labels.mean(dtype=np.float64))


def _logistic_regression(train: Rows, labels: np.ndarray, test: Rows, seed: int) -> np.ndarray:
    from scipy.sparse import issparse
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    F = train.numeric.shape[1]
    numbers = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=RARE)
    transform = ColumnTransformer(
        [("numeric", numbers, list(range(F))), ("categorical", categories, list(range(F, _width(train))))]
    )
    columns: Any = transform.fit_transform(_stacked(train))  # sparse where most of it is zero
    few = columns.shape[1] <= MOST_NEWTON_COLUMNS
    if few and issparse(columns) and columns.shape[0] * columns.shape[1] <= MOST_DENSE_NUMBERS:
        columns = columns.toarray()
    model = LogisticRegression(max_iter=1000, random_state=seed, solver="newton-cholesky" if few else "lbfgs")
    model.fit(columns, labels)
    return model.predict_proba(transform.transform(_stacked(test)))[:, 1]


def _hist_gradient_boosting(train: Rows, labels: np.ndarray, test: Rows, seed: int) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, unseen = _stacked(train), _stacked(test)
    told = ~np.isnan(rows).all(axis=0)  # a column without any number cannot be split on, and scikit-learn fails on it
    cardinality = np.array([MOST_NATIVE_CATEGORIES + 1] * train.numeric.shape[1] + list(train.cardinality))[told]
    native = np.flatnonzero(cardinality <= MOST_NATIVE_CATEGORIES)
    model = HistGradientBoostingClassifier(random_state=seed, categorical_features=native)  # type: ignore[arg-type]
    model.fit(rows[:, told], labels)
    return model.predict_proba(unseen[:, told])[:, 1]


def _width(rows: Rows) -> int:
    return rows.numeric.shape[1] + rows.categorical.shape[1]


def _stacked(rows: Rows) -> np.ndarray:
    """[N, F + C] float64; codes are exact in it."""
    return np.concatenate([rows.numeric, rows.categorical], axis=1, dtype=np.float64)


BASELINES: dict[str, Callable[[Rows, np.ndarray, Rows, int], np.ndarray]] = {
    "base_rate": _base_rate,
    "logistic_regression": _logistic_regression,
    "hist_gradient_boosting": _hist_gradient_boosting,
}
