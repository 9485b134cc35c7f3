"""What a contract.py may be, and which of its changes void the stamps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mtac_assets.data.contract.load import load_contract
from mtac_assets.data.contract.source import ContractError, contract_digest


def digest(shop) -> str:
    return contract_digest(shop.dataset(), shop.folder)


def contract_text(shop) -> str:
    return (shop.folder / "contract.py").read_text()


def test_only_what_decides_counts(shop) -> None:
    original, text = digest(shop), contract_text(shop)
    shop.rewrite(contract=f'"""A docstring."""\n# A comment.\n{text}\n\n')
    assert digest(shop) == original
    yaml = shop.folder / "dataset.yaml"
    declared = yaml.read_text()
    yaml.write_text(declared + "description: other words\nowner: team:other\narrival: {every_seconds: 7}\n")
    assert digest(shop) == original
    yaml.write_text(declared.replace("end: 2024-12-31", "end: 2025-12-31"))
    assert digest(shop) == original
    changed = {original}
    for old, new in (
        ("max_quarantined: 0.1", "max_quarantined: 0.2"),
        ("[at, shop]", "[at]"),
        ("0.5}", "0.4}"),
        ("date: day", "date: at"),
    ):
        yaml.write_text(declared.replace(old, new))
        changed.add(digest(shop))
    yaml.write_text(declared)
    shop.rewrite(contract=text.replace("n < 50", "n < 51"))
    changed.add(digest(shop))
    assert len(changed) == 6


def test_a_contract_may_be_a_function(shop) -> None:
    text = contract_text(shop).replace("schema = pa.DataFrameSchema(", "def schema():\n  return pa.DataFrameSchema(")
    shop.rewrite(contract=text)
    assert list(load_contract(shop.dataset(), shop.folder).columns.types) == [
        "day",
        "at",
        "shop",
        "price",
        "items",
        "returned",
    ]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("strict=True", "strict=False", "strict=False"),
        ("strict=True", "strict=True, coerce=True", "the schema uses coerce"),
        ("strict=True", 'strict=True, unique=["day"]', "the schema uses unique"),
        ("strict=True", 'strict=True, index=pa.Index("int64")', "an index"),
        ('pa.Column("str")', 'pa.Column("str", unique=True)', "'day' uses unique"),
        ('pa.Column("str")', 'pa.Column("str", required=False)', "regex or required"),
        ('pa.Column("str")', 'pa.Column("str", coerce=True)', "coerce, parsers or default"),
        ('pa.Column("str")', "pa.Column(object)", "dtype object"),
        ('pa.Column("str")', 'pa.Column("datetime64[ns, Europe/Berlin]")', "dtype datetime64"),
        ('pa.Column("str")', "pa.Column(None)", "no dtype"),
        ("pa.Check.ge(1)", 'pa.Check(lambda g: True, groupby="shop")', "groupby"),
        ('"day":', '"date":', "partitions.date names 'day'"),
        ("schema = ", "plan = ", "'schema' is NoneType"),
        ("schema = ", "schema = 3 or ", "'schema' is int"),
        ("import pandera", "import os, nowhere_at_all\nimport pandera", "importing it fails"),
        ("import pandera", "from . import other\nimport pandera", "imports ."),
        ("import pandera", "import mtac_assets.spec\nimport pandera", "imports mtac_assets.spec"),
        ("strict=True,", "strict=True,,", "not valid Python"),
    ],
)
def test_what_a_contract_may_not_be(shop, old: str, new: str, error: str) -> None:
    dataset, text = shop.dataset(), contract_text(shop)
    assert old in text
    shop.rewrite(contract=text.replace(old, new, 1))
    with pytest.raises(ContractError) as caught:
        load_contract(dataset, shop.folder)
    assert error in str(caught.value)
    assert "contract.py" in str(caught.value) or "dataset orders" in str(caught.value)


def test_a_missing_contract_is_named(shop) -> None:
    dataset = shop.dataset()
    (shop.folder / "contract.py").unlink()
    with pytest.raises(ContractError, match="does not exist"):
        contract_digest(dataset, shop.folder)


def test_all_that_is_wrong_is_said_at_once(make_shop: Callable) -> None:
    shop = make_shop()
    shop.rewrite(
        contract=contract_text(shop)
        .replace("strict=True", "coerce=True")
        .replace('pa.Column("str")', "pa.Column(object)")
    )
    with pytest.raises(ContractError) as caught:
        load_contract(shop.dataset(), shop.folder)
    assert len(caught.value.findings) == 3
