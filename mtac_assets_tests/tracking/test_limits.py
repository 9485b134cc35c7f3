from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_param, _validate_tag

from mtac_assets.tracking import limits

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
NAMES = st.text(min_size=1, max_size=300)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)),
    max_size=4,
)


@given(DOCUMENTS)
def test_mlflow_accepts_every_parameter(document: dict[str, Any]) -> None:
    for name, value in limits.flat_params(document).items():
        _validate_param(name, value)


@given(st.sets(NAMES, max_size=20))
def test_distinct_names_stay_distinct(names: set[str]) -> None:
    assert len({limits.fitting_name(name) for name in names}) == len(names)


@given(st.text(max_size=100), st.integers(0, 12000))
def test_a_value_fits_and_says_what_was_left_out(text: str, repeat: int) -> None:
    whole = text + "x" * repeat
    fitted = limits.fitting_value(whole, limits.TAG_VALUE)
    _validate_tag("name", fitted)
    assert fitted == whole if len(whole) <= limits.TAG_VALUE else f"({len(whole)} characters, sha256 " in fitted


def test_a_recipe_becomes_readable_names() -> None:
    document = {
        "training": {"learning_rate": 2e-3, "device": "cpu"},
        "data": {"lookups": ["weather"]},
        "gates": {"thresholds": [{"metric": "roc_auc", "min": 0.6}]},
        "window": None,
        "model": {"settings": {}},
    }
    assert limits.flat_params(document) == {
        "training.learning_rate": "0.002",
        "training.device": "cpu",
        "data.lookups": '["weather"]',
        "gates.thresholds.0.metric": "roc_auc",
        "gates.thresholds.0.min": "0.6",
        "window": "null",
        "model.settings": "{}",
    }


@given(st.lists(st.integers(), max_size=30), st.integers(1, 10))
def test_batches_lose_nothing_and_keep_the_order(items: list[int], size: int) -> None:
    batches = list(limits.batches(items, size))
    assert json.dumps([item for batch in batches for item in batch]) == json.dumps(items)
    assert all(0 < len(batch) <= size for batch in batches)
