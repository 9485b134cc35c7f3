"""The verdict over many days at once is the one that pandera gives each day alone."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtac_assets.data.contract.columns import to_pandas
from mtac_assets.data.contract.judge import judge
from mtac_assets.data.contract.load import load_contract
from mtac_assets.data.contract.source import ContractError
from mtac_assets.data.readers.blocks import ordered_blocks
from mtac_assets.data.readers.local import Source
from mtac_assets.data.readers.rows import TypedTable
from mtac_assets.data.readers.typed import conform

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


def judged_days(shop, tables: dict[str, pa.Table]):
    contract = load_contract(shop.dataset(), shop.folder)
    typed = conform(pa.concat_tables(tables.values()), contract.columns, "test")
    partition = np.repeat(np.arange(len(tables), dtype=np.int32), [table.num_rows for table in tables.values()])
    sources = dict.fromkeys(tables, Source("test", None))
    (block,) = ordered_blocks(
        contract.dataset,
        TypedTable(typed.table, typed.faults),
        partition,
        np.arange(len(partition)),
        list(tables),
        sources,
    )
    return contract, judge(contract, block)


ROW = st.tuples(
    st.sampled_from([0.0, 100.0, 100.5, -1.0, float("nan"), None, 50.0]),
    st.sampled_from([1, 0, 49, 50, None, 7]),
    st.sampled_from([0, 1, 2, None]),
    st.sampled_from(["north", "south", "west", None]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, min_size=3, max_size=30))
def test_the_rows_set_aside_are_those_that_pandera_refuses(shop, rows) -> None:
    prices, items, returned, shops = (list(values) for values in zip(*rows, strict=True))
    table = shop.orders(KEYS[0], len(rows), price=prices, items=items, returned=returned, shop=shops)
    contract, judged = judged_days(shop, {KEYS[0]: table})
    frame = to_pandas(judged.block.table, contract.declared)
    nullable = contract.schema.update_columns({name: {"dtype": None} for name in contract.declared})
    try:
        nullable.validate(frame, lazy=True)
        refused: set[int] = set()
    except pandera.errors.SchemaErrors as errors:
        refused = set(errors.failure_cases["index"].astype(int))
    assert set(np.flatnonzero(~judged.accepted).tolist()) == refused


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ROW, min_size=1, max_size=15), min_size=3, max_size=3))
def test_a_day_is_judged_the_same_alone_and_in_company(shop, parts) -> None:
    tables = {
        key: shop.orders(
            key,
            len(rows),
            **dict(zip(("price", "items", "returned", "shop"), map(list, zip(*rows, strict=True)), strict=True)),
        )
        for key, rows in zip(KEYS, parts, strict=True)
    }
    _, together = judged_days(shop, tables)
    for index, (key, table) in enumerate(tables.items()):
        _, alone = judged_days(shop, {key: table})
        assert placeless(alone.findings[key]) == placeless(together.findings[key])
        assert {check.name: (check.passed, check.evidence) for check in alone.checks[key] if not check.passed} == {
            check.name: (check.passed, check.evidence) for check in together.checks[key] if not check.passed
        }
        assert str(alone.quarantine(0).to_pylist()) == str(together.quarantine(index).to_pylist())


def placeless(findings) -> list[str]:
    """Findings without the place of rows in their source, which company moves."""
    return [re.sub(r"in row \d+", "in row N", finding.error) for finding in findings]


def failed(judged, key: str) -> dict[str, dict]:
    return {check.name: dict(check.evidence) for check in judged.checks[key] if not check.passed}


def test_table_bounds_are_those_of_each_day(shop) -> None:
    tables = {
        KEYS[0]: shop.orders(KEYS[0], 4),
        KEYS[1]: shop.orders(KEYS[1]),
        KEYS[2]: shop.orders(KEYS[2], returned=[None] * 18 + [1, 0]),
    }
    _, judged = judged_days(shop, tables)
    assert failed(judged, KEYS[0]) == {"rows": {"rows": 4, "min": 5, "max": 100}}
    assert failed(judged, KEYS[1]) == {}
    assert failed(judged, KEYS[2]) == {"null rate: returned": {"rate": 0.9, "max": 0.5}}
    assert "returned is null in 90.0% of the rows" in judged.findings[KEYS[2]][0].error


def test_the_share_decides_between_quarantine_and_refusal(shop) -> None:
    prices = [1.0] * 20
    prices[:2] = [999.0, 999.0]
    _, judged = judged_days(shop, {KEYS[0]: shop.orders(KEYS[0], price=prices)})
    assert judged.findings[KEYS[0]] == []
    prices[2] = 999.0
    _, judged = judged_days(shop, {KEYS[0]: shop.orders(KEYS[0], price=prices)})
    (finding,) = judged.findings[KEYS[0]]
    assert finding.error.startswith(
        "3 of 20 rows break the contract: 3 × price: in_range(0, 100), first in row 1: price = 999.0"
    )
    assert finding.expected == "at most 10.00% of the rows set aside"


def test_of_copies_one_stays_and_of_contradictions_none(shop) -> None:
    day = shop.orders(KEYS[0], 40)
    other = day.slice(7, 1).set_column(3, "price", pa.array([99.0]))
    _, judged = judged_days(shop, {KEYS[0]: pa.concat_tables([day, day.slice(3, 1), other])})
    aside = judged.quarantine(0)
    assert aside["reason"].to_pylist() == [
        "the row is a copy of another (at, shop)",
        *["another row has the same at, shop"] * 2,
    ]
    assert sorted(aside["price"].to_pylist()[1:]) == [8.5, 99.0]
    assert int(judged.accepted.sum()) == 39


def test_the_same_key_on_two_days_is_no_copy(make_shop) -> None:
    shop = make_shop()
    (shop.folder / "dataset.yaml").write_text(
        (shop.folder / "dataset.yaml").read_text().replace("[at, shop]", "[items]")
    )
    one = shop.orders(KEYS[0], 7)
    _, judged = judged_days(shop, {KEYS[0]: one, KEYS[1]: shop.orders(KEYS[1], 7)})
    assert judged.accepted.all()


@pytest.mark.parametrize(
    "check", ["lambda s: s.mean() > 0", "lambda s: 1 / 0", "lambda s: s.reset_index(drop=True)[:1] > 0"]
)
def test_a_check_that_does_not_answer_row_by_row_is_refused(shop, check: str) -> None:
    shop.rewrite(contract=(shop.folder / "contract.py").read_text().replace("pa.Check.ge(1)", f"pa.Check({check})"))
    with pytest.raises(ContractError, match="items"):
        judged_days(shop, {KEYS[0]: shop.orders(KEYS[0])})


DAY_CHECKS = '\nday_checks = {"both shops": lambda days: days["shop"].nunique() == 2}\n'


def test_the_contracts_own_checks_of_whole_days(shop) -> None:
    shop.rewrite(contract=(shop.folder / "contract.py").read_text() + DAY_CHECKS)
    tables = {
        KEYS[0]: shop.orders(KEYS[0]),
        KEYS[1]: shop.orders(KEYS[1], shop=["north"] * 20),
        KEYS[2]: shop.orders(KEYS[2]),
    }
    _, judged = judged_days(shop, tables)
    assert [key for key in KEYS if judged.findings[key]] == [KEYS[1]]
    assert failed(judged, KEYS[1]) == {"both shops": {"holds": False}}


@pytest.mark.parametrize("answer", ["True", "days['shop'].nunique().iloc[:1] == 2", "1 / 0"])
def test_a_day_check_must_answer_for_every_day(shop, answer: str) -> None:
    shop.rewrite(
        contract=(shop.folder / "contract.py").read_text() + f'\nday_checks = {{"odd": lambda days: {answer}}}\n'
    )
    with pytest.raises(ContractError, match="odd"):
        judged_days(shop, {key: shop.orders(key) for key in KEYS})


def test_declared_dtypes_are_what_checks_see(shop) -> None:
    contract, judged = judged_days(shop, {KEYS[0]: shop.orders(KEYS[0])})
    frame = to_pandas(judged.block.table, contract.declared)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == contract.declared | {"day": "object"}
    assert isinstance(frame["returned"].dtype, pd.Int16Dtype)
