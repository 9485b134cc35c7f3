"""What a view answered, held against what the recipe declares, as the Arrow table that is stored. Nothing is coerced in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from mtac_assets.data.features_view import FeatureDefinition, FeatureError
from mtac_assets.spec.errors import Finding, raise_all

DAY, LABEL = "day", "label"
CATEGORY_TYPE = pa.dictionary(pa.int32(), pa.string())


def feature_table(
    definition: FeatureDefinition, key: str, day: int, rows: pa.Table, features: pd.DataFrame, label: pd.Series
) -> pa.Table:
    """The feature partition [N rows]: key columns, `day` (date32), `label` (float32), numeric (float32), categories.

    Args:
        definition: what was declared.
        key, day: the partition's key, and its day as days since 1970-01-01.
        rows: the dataset's rows, of which the key columns are kept.
        features, label: what the view and the label function returned.

    Raises:
        FeatureError: naming each column that is missing, undeclared, of the wrong type or length, infinite or repeated.
    """
    where = f"{definition.recipe}/{key}"
    raise_all(FeatureError, _shape_findings(definition, where, rows.num_rows, features, label))
    findings: list[Finding] = []
    numbers = _numbers(features, definition.numeric, where, findings)
    categories = {
        name: _category(pd.Series(features[name]), name, where, findings)
        for name in dict.fromkeys((*definition.categorical, *definition.slices))
        if name not in numbers
    }
    labels = _label(label, where, findings)
    columns: dict[str, pa.Array] = {}
    for name in definition.key:
        column = rows[name].combine_chunks()
        if name in numbers or (name in categories and not _same_text(column, categories[name])):
            findings.append(Finding(f"the feature {name} has the name of a key column and another content", where, f"{name} as in the dataset", "give the feature another name"))  # fmt: skip
        columns[name] = categories.get(name, column)
    raise_all(FeatureError, findings)
    columns[DAY] = pa.array(np.full(rows.num_rows, day, dtype=np.int32)).cast(pa.date32())
    columns[LABEL] = pa.array(labels)
    columns |= {name: pa.array(values) for name, values in numbers.items()}
    columns |= categories
    table = pa.table(columns)
    _refuse_repeated_keys(definition, where, table)
    return table


def _shape_findings(
    definition: FeatureDefinition, where: str, rows: int, features: pd.DataFrame, label: pd.Series
) -> Iterator[Finding]:
    if not isinstance(features, pd.DataFrame) or not isinstance(label, pd.Series):
        yield Finding(f"the view returned {type(features).__name__}, the label {type(label).__name__}", where, "a DataFrame and a Series", "return these")  # fmt: skip
        return
    declared = dict.fromkeys((*definition.numeric, *definition.categorical, *definition.slices))
    missing = [name for name in declared if name not in features.columns]
    extra = [str(name) for name in features.columns if name not in declared]
    repeated = sorted({str(name) for name in features.columns[features.columns.duplicated()]})
    reserved = [name for name in declared if name in (DAY, LABEL)]
    if missing:
        yield Finding(f"the view returned no {', '.join(missing)}", where, "every column of features.numeric, categorical and slices", "compute it, or take it out of recipe.yaml")  # fmt: skip
    if extra:
        yield Finding(f"the view returned {', '.join(extra)}, which the recipe does not declare", where, "only declared columns", "add it to features.numeric or features.categorical, or drop it")  # fmt: skip
    if repeated:
        yield Finding(
            f"the view returned {', '.join(repeated)} more than once", where, "each column once", "drop the repetition"
        )
    if reserved:
        yield Finding(f"{', '.join(reserved)} is a name of the engine's own columns", where, f"names other than {DAY} and {LABEL}", "rename the feature")  # fmt: skip
    for name, index in (("the view", features.index), ("the label", label.index)):
        if not index.equals(pd.RangeIndex(rows)):
            yield Finding(f"{name} returned {len(index)} rows or reordered them", where, f"the {rows} rows with their index", "keep the index of `rows`")  # fmt: skip


def _numbers(
    features: pd.DataFrame, names: Sequence[str], where: str, findings: list[Finding]
) -> dict[str, np.ndarray]:
    """float32 [N] by name, NaN where null."""
    wanted = features[list(names)]
    for name in names:
        kind = wanted[name].dtype
        if not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)):
            findings.append(Finding(f"the numeric feature {name} has type {kind}", where, "numbers or booleans", "convert it in the view, or declare it categorical"))  # fmt: skip
    if findings:
        return {name: np.full(len(features), np.nan, dtype=np.float32) for name in names}
    with np.errstate(over="ignore"):
        values = wanted.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32, order="F")
    for place in np.flatnonzero(np.isinf(values).any(axis=0)):
        rows, name = np.flatnonzero(np.isinf(values[:, place])), names[int(place)]
        findings.append(Finding(f"the numeric feature {name} is infinite in {len(rows)} rows, first in row {rows[0]}", where, "finite numbers within float32, NaN for missing", "guard the division in the view"))  # fmt: skip
    values += np.float32(0.0)  # no negative zero: equal values get equal bits
    return {name: values[:, place] for place, name in enumerate(names)}


def _category(column: pd.Series, name: str, where: str, findings: list[Finding]) -> pa.DictionaryArray:
    """Dictionary of strings, its words sorted, so that equal values have equal bytes; null for missing."""
    codes, words = pd.factorize(column, sort=False)
    texts = list(words)
    if not all(isinstance(text, str) for text in texts):
        findings.append(Finding(f"the categorical feature {name} holds {type(texts[0]).__name__} values", where, "strings, null for missing", "write .astype(str) in the view where that is meant"))  # fmt: skip
        texts, codes = [], np.full(len(column), -1)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts) + 1, dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    indices = pa.array(place[codes], mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array([texts[i] for i in order], type=pa.string()))


def _label(label: pd.Series, where: str, findings: list[Finding]) -> np.ndarray:
    """float32 [N]: 0, 1 or NaN."""
    values = pd.Series(pd.to_numeric(label, errors="coerce")).to_numpy(dtype=np.float32, na_value=np.nan)
    wrong = label.notna().to_numpy() & ~np.isin(values, (0.0, 1.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        findings.append(Finding(f"the label is {label.iloc[row]!r} in row {row}", where, "0, 1, or null where it is not known", "correct the label function"))  # fmt: skip
    return values


def _same_text(column: pa.Array, category: pa.DictionaryArray) -> bool:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.type == pa.string() and column.equals(category.dictionary_decode())


def _refuse_repeated_keys(definition: FeatureDefinition, where: str, table: pa.Table) -> None:
    distinct = table.select(definition.key).group_by(list(definition.key)).aggregate([]).num_rows
    if distinct != table.num_rows:
        names = ", ".join(definition.key)
        raise FeatureError(Finding(f"{table.num_rows - distinct} rows repeat the key ({names}) of another", where, "each key once", "correct `key` in dataset.yaml, or let the contract check it"))  # fmt: skip
