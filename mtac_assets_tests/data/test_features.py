"""Feature partitions of a team's own project: the same bytes alone or in a range, kept while nothing changed, never partial."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtac_assets.data import features
from mtac_assets.data.contract.stamp import Unstamped
from mtac_assets.data.features import materialise
from mtac_assets.data.features_plan import feature_path, manifest_path, stale_keys
from mtac_assets.data.features_view import FeatureError
from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import stamp_path
from mtac_assets.data.point_in_time_codes import PointInTimeError
from mtac_assets.provenance.files import FileState
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_recipe

RECIPE = """
schema_version: 1
name: returns
data: {rows: orders}
window: {train_days: 6, validate_days: 2, test_days: 2, history_days: 3}
features:
  view: features:view
  label: features:returned
  numeric: [price, shop_rate, shop_known]
  categorical: [shop]
  slices: [shop, size]
model: {kind: tabular_ensemble}
training:
  {seed: 1, epochs: 1, batch_size: 8, micro_batch_size: 8, optimizer: adamw, learning_rate: 1e-3,
   precision: float32, device: cpu, threads: 1, checkpoint_every_steps: 10}
"""
VIEW = """
def returned(rows):
    return rows["returned"]


def view(rows, past, lookups):
    tally = past.rates(["shop"], returned, 3)
    return rows[["price", "shop"]].assign(
        shop_rate=tally.mean, shop_known=tally.known, size=(rows["items"] > 3).map({True: "large", False: "small"})
    )
"""


@pytest.fixture
def returns(shop):
    """The shop with a recipe, and ten ingested days."""
    folder = shop.project.defs / "returns"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "features.py").write_text(VIEW)
    for n, day in enumerate(shop.days(10)):
        shop.csv(day, shop.orders(day, 20, returned=[None if i % 5 == 0 else (i * (n + 1)) % 3 % 2 for i in range(20)]))
    assert not ingest(shop.project, "orders", shop.days(10)).failed
    return shop


def recipe(shop, *overrides: str):
    return load_recipe(shop.project, "returns", overrides, date(2024, 1, 9))


def stored(shop, day: str) -> tuple[bytes, bytes]:
    return feature_path(shop.project, "returns", day).read_bytes(), manifest_path(
        shop.project, "returns", day
    ).read_bytes()


def write_view(shop, text: str) -> None:
    (shop.project.defs / "returns" / "features.py").write_text(text)


def test_a_partition_holds_exactly_what_was_declared(returns) -> None:
    result = materialise(returns.project, recipe(returns), ["2024-01-05"])
    table = pq.read_table(feature_path(returns.project, "returns", "2024-01-05"))
    assert table.column_names == ["at", "shop", "day", "label", "price", "shop_rate", "shop_known", "size"]
    assert {table.schema.field(name).type for name in ("label", "price", "shop_rate", "shop_known")} == {pa.float32()}
    (day,) = result.days
    assert (day.status, day.rows, day.labelled, table.num_rows) == ("computed", 20, 16, 20)
    assert np.isnan(table["label"].to_numpy()[::5]).all()
    assert set(table["day"].to_pylist()) == {date(2024, 1, 5)}
    # Three days before, ten rows a shop each, of which two have no outcome.
    assert set(table["shop_known"].to_pylist()) == {24.0}


def test_the_first_day_has_nulls_and_zero_counts(returns) -> None:
    materialise(returns.project, recipe(returns), ["2024-01-01"])
    table = pq.read_table(feature_path(returns.project, "returns", "2024-01-01"))
    assert np.isnan(table["shop_rate"].to_numpy()).all()
    assert set(table["shop_known"].to_pylist()) == {0.0}


def test_a_day_alone_has_the_bytes_that_it_has_in_any_range(returns) -> None:
    resolved, days = recipe(returns), returns.days(10)
    materialise(returns.project, resolved, days)
    together = {day: stored(returns, day) for day in days}
    for some in ([days[7]], [days[1], days[6], days[9]], days[3:6]):
        for day in some:
            feature_path(returns.project, "returns", day).unlink()
        materialise(returns.project, resolved, some)
        assert {day: stored(returns, day) for day in some} == {day: together[day] for day in some}


def test_day_after_day_each_partition_is_read_once_and_the_bytes_are_those_of_all_together(
    returns, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved, days = recipe(returns), returns.days(10)
    materialise(returns.project, resolved, days)
    together = {day: stored(returns, day) for day in days}
    read: list[str] = []
    whole = features.read_table
    monkeypatch.setattr(features, "read_table", lambda *of: read.append("/".join(of[1:])) or whole(*of))
    for day in days:
        feature_path(returns.project, "returns", day).unlink()
        materialise(returns.project, resolved, [day])
        assert stored(returns, day) == together[day]
    assert sorted(read) == sorted(set(read))


def test_a_run_goes_on_only_while_what_it_was_told_still_holds(returns) -> None:
    resolved, days = recipe(returns), returns.days(10)
    materialise(returns.project, resolved, days[:6])
    returns.csv(days[4], returns.orders(days[4], price=[9.0] * 20))
    ingest(returns.project, "orders", [days[4]])
    materialise(returns.project, resolved, [days[6]])
    after = stored(returns, days[6])
    feature_path(returns.project, "returns", days[6]).unlink()
    features._ended.clear()
    materialise(returns.project, resolved, [days[6]])
    assert stored(returns, days[6]) == after, "a process that knows nothing of before"


def test_a_run_that_looks_back_less_far_does_not_go_on_from_one_that_looked_further(returns) -> None:
    days = returns.days(10)
    materialise(returns.project, recipe(returns), days[:6])
    with pytest.raises(PointInTimeError, match="history_days"):
        materialise(returns.project, recipe(returns, "window.history_days=1"), [days[6]])


def test_what_is_up_to_date_is_not_touched(returns) -> None:
    resolved, days = recipe(returns), returns.days(4)
    materialise(returns.project, resolved, days)
    before = {day: FileState.of(feature_path(returns.project, "returns", day)) for day in days}
    heard = []
    result = materialise(returns.project, resolved, days, progress=heard.append)
    assert [day.status for day in result.days] == ["unchanged"] * 4 == [day.status for day in heard]
    assert {day: FileState.of(feature_path(returns.project, "returns", day)) for day in days} == before
    assert stale_keys(returns.project, resolved, days) == {}


def test_a_changed_day_makes_stale_exactly_the_days_that_look_at_it(returns) -> None:
    resolved, days = recipe(returns), returns.days(10)
    materialise(returns.project, resolved, days)
    returns.csv(days[4], returns.orders(days[4], price=[9.0] * 20))
    ingest(returns.project, "orders", [days[4]])
    assert stale_keys(returns.project, resolved, days) == dict.fromkeys(days[4:8], ("data.orders/2024-01-05",))
    assert [day.key for day in materialise(returns.project, resolved, days).computed] == days[4:8]


def test_staleness_names_its_leaf(returns) -> None:
    resolved, days = recipe(returns), returns.days(2)
    assert set(stale_keys(returns.project, resolved, days).values()) == {("features.missing",)}
    materialise(returns.project, resolved, days)
    fewer = recipe(returns, "features.slices=[shop]")
    assert set(stale_keys(returns.project, fewer, days).values()) == {("recipe.features",)}
    write_view(returns, VIEW.replace("> 3", "> 4"))
    assert set(stale_keys(returns.project, resolved, days).values()) == {("code",)}
    write_view(returns, VIEW.replace("def view", "# a comment changes nothing\ndef view"))
    assert stale_keys(returns.project, resolved, days) == {}


def test_changed_code_is_run_in_the_same_process(returns) -> None:
    resolved = recipe(returns)
    before = materialise(returns.project, resolved, ["2024-01-05"]).days[0].digest
    write_view(returns, VIEW.replace("> 3", "> 4"))
    assert materialise(returns.project, resolved, ["2024-01-05"]).days[0].digest != before


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "manifest"])
def test_a_damaged_partition_is_computed_again(returns, damage: str) -> None:
    resolved, day = recipe(returns), "2024-01-05"
    materialise(returns.project, resolved, [day])
    good, path = stored(returns, day), feature_path(returns.project, "returns", day)
    if damage == "remove":
        path.unlink()
    elif damage == "manifest":
        manifest_path(returns.project, "returns", day).write_text("{")
    else:
        path.write_bytes(good[0][:-9] if damage == "cut" else good[0][:50] + bytes([good[0][50] ^ 1]) + good[0][51:])
    assert list(stale_keys(returns.project, resolved, [day])) == [day]
    materialise(returns.project, resolved, [day])
    assert stored(returns, day) == good


def test_missing_data_is_named_and_nothing_is_written(returns) -> None:
    with pytest.raises(FeatureError, match=r"2 partitions .* orders/2024-01-11, orders/2024-01-12"):
        materialise(returns.project, recipe(returns), ["2024-01-10", "2024-01-12"])
    assert not feature_path(returns.project, "returns", "2024-01-10").exists()


def test_unstamped_data_is_refused(returns) -> None:
    stamp_path(returns.data, "orders", "2024-01-03").unlink()
    with pytest.raises(Unstamped, match="never validated"):
        materialise(returns.project, recipe(returns), ["2024-01-05"])
    assert materialise(returns.project, recipe(returns), ["2024-01-07"]).computed  # looks at other days only


BROKEN = [
    ("shop_rate=tally.mean, ", "", "returned no shop_rate"),
    ("shop_rate=", "more=1.0, shop_rate=", "more, which the recipe does not declare"),
    ("shop_rate=tally.mean", "shop_rate=1.0 / (rows['price'] * 0)", "shop_rate is infinite in 20 rows"),
    ("shop_rate=tally.mean", "shop_rate=rows['shop']", "shop_rate has type object"),
    ('(rows["items"] > 3).map({True: "large", False: "small"})', 'rows["items"]', "size holds"),
    ("lse: \"small\"})\n    )", "lse: \"small\"})\n    ).iloc[::-1]", "reordered"),
    ("lse: \"small\"})\n    )", "lse: \"small\"})\n    ).iloc[1:]", "returned 19 rows"),
    ('["price", "shop"]', '["price", "shop", "returned"]', "'returned'"),
    ('rows["returned"]', 'rows["items"]', "label is"),
    ('rows[["price", "shop"]]', 'rows[["price", "shop"]].assign(shop="x")', "name of a key column"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BROKEN, ids=[message for *_, message in BROKEN])
def test_a_wrong_answer_of_the_view_is_named_with_its_day(returns, old: str, new: str, message: str) -> None:
    assert old in VIEW
    write_view(returns, VIEW.replace(old, new))
    with pytest.raises(MtacError, match=message) as caught:
        materialise(returns.project, recipe(returns), ["2024-01-05"])
    assert "returns/2024-01-05" in caught.value.findings[0].where
    assert not list((returns.project.state.features).rglob("*.*"))


def test_the_plan_needs_no_dataframe_library(root: Path) -> None:
    code = (
        "import sys, mtac_assets.data.features_plan\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False).stderr == ""
    )
