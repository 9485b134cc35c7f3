"""The training set of a team's own project, with days and without: exactly the labelled rows, found again, never half."""

from __future__ import annotations

import shutil
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from mtac_assets.data.contract.stamp import Unstamped
from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import read_table, stamp_path
from mtac_assets.data.training_set import TrainingSetError, build, encode, load_split
from mtac_assets.data.training_set_arrays import ARRAYS, SplitWriter, array_path
from mtac_assets.spec.load import load_recipe

TRAINING = """
model: {kind: tabular_ensemble}
training:
  {seed: 1, epochs: 1, batch_size: 8, micro_batch_size: 8, optimizer: adamw, learning_rate: 1e-3,
   precision: float32, device: cpu, threads: 1, checkpoint_every_steps: 10}
"""
DAILY = (
    """
schema_version: 1
name: returns
data: {rows: orders}
window: {train_days: 6, validate_days: 2, test_days: 2, history_days: 3}
features: {view: features:view, label: features:returned, numeric: [price, rate], categorical: [shop, kind], slices: [shop]}
"""
    + TRAINING
)
TIMELESS = (
    """
schema_version: 1
name: returns
data: {rows: orders}
split: {validate_share: 0.25, test_share: 0.25, by: [price], seed: 4}
features: {view: features:timeless, label: features:returned, numeric: [price], categorical: [shop], slices: [shop]}
evaluation: {bootstrap: {unit: row}}
"""
    + TRAINING
)
VIEW = """
def returned(rows):
    return rows["returned"]


def timeless(rows, past, lookups):
    return rows[["price", "shop"]]


def view(rows, past, lookups):
    return timeless(rows, past, lookups).assign(
        rate=past.rates(["shop"], returned, 3).mean, kind=rows["at"].dt.day.map("kind {}".format).where(rows["items"] > 1)
    )
"""
DAYS = 10


def outcome(n: int, i: int) -> int | None:
    return None if i % 5 == 0 else (i * (n + 1)) % 3 % 2


def with_recipe(shop, text: str):
    folder = shop.project.defs / "returns"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(text)
    (folder / "features.py").write_text(VIEW)
    return shop


@pytest.fixture
def returns(shop):
    for n, day in enumerate(shop.days(DAYS)):
        shop.csv(day, shop.orders(day, 20, returned=[outcome(n, i) for i in range(20)]))
    assert not ingest(shop.project, "orders", shop.days(DAYS)).failed
    return with_recipe(shop, DAILY)


def recipe(shop, *overrides: str):
    return load_recipe(shop.project, "returns", overrides, date(2024, 1, 9))


def test_it_holds_exactly_the_labelled_rows(returns) -> None:
    built = build(returns.project, recipe(returns))
    train, validate = built.manifest["splits"]["train"], built.manifest["splits"]["validate"]
    assert train["days"] == returns.days(6)[2:]
    assert validate["days"] == returns.days(8)[6:]
    assert (train["rows"], train["excluded_unlabelled"], validate["rows"], validate["excluded_unlabelled"]) == (
        64,
        16,
        32,
        8,
    )
    labels = [outcome(n, i) for n in range(2, 6) for i in range(20) if outcome(n, i) is not None]
    assert built.array("train", "label").tolist() == labels
    assert train["positives"] == sum(labels)
    price = [1.5 + i for n in range(2, 6) for i in range(20) if outcome(n, i) is not None]
    assert built.array("train", "numeric")[:, 0].tolist() == price
    epoch_day = (date(2024, 1, 3) - date(1970, 1, 1)).days
    assert built.array("train", "day").tolist() == [epoch_day + n for n in range(4) for _ in range(16)]
    shapes = {name: (built.array("train", name).dtype, built.array("train", name).shape) for name in ARRAYS}
    assert shapes == {
        "numeric": (np.float32, (64, 2)),
        "categorical": (np.int32, (64, 2)),
        "label": (np.float32, (64,)),
        "day": (np.int32, (64,)),
        "rows": (np.uint64, (64,)),
    }


def test_vocabularies_come_from_the_train_split_alone(returns) -> None:
    built = build(returns.project, recipe(returns))
    assert built.schema.vocabularies == (("north", "south"), ("kind 3", "kind 4", "kind 5", "kind 6"))
    assert set(built.array("validate", "categorical")[:, 1]) == {0}  # days 7 and 8 were never learned
    assert set(built.array("train", "categorical")[:, 1]) == {0, 1, 2, 3, 4}


def test_no_row_is_in_two_splits_and_hashes_are_sorted(returns) -> None:
    resolved = recipe(returns)
    built = build(returns.project, resolved)
    test = load_split(returns.project, resolved, schema=built.schema)
    train, validate = built.array("train", "rows"), built.array("validate", "rows")
    assert (np.diff(train.astype(object)) > 0).all()
    assert len(np.unique(np.concatenate([train, validate, test.row_hashes]))) == len(train) + len(validate) + len(test)


def test_the_test_rows_come_encoded_with_their_slices(returns) -> None:
    resolved = recipe(returns)
    built = build(returns.project, resolved)
    test = load_split(returns.project, resolved, schema=built.schema)
    assert test.days == tuple(returns.days(10)[8:])
    assert (len(test), test.excluded_unlabelled) == (32, 8)
    assert len(np.unique(test.day)) == 2
    again = encode(test.frame, built.schema)
    assert np.array_equal(test.numeric, again[0], equal_nan=True)
    assert np.array_equal(test.categorical, again[1])
    assert set(test.frame["shop"]) == {"north", "south"}
    validate = load_split(returns.project, resolved, schema=built.schema, part="validate")
    assert np.array_equal(validate.numeric, built.array("validate", "numeric"), equal_nan=True)
    assert np.array_equal(np.sort(validate.row_hashes), built.array("validate", "rows"))


def test_the_same_inputs_give_the_same_set_and_are_not_built_again(returns) -> None:
    resolved = recipe(returns)
    first = build(returns.project, resolved)
    inode = (first.folder / "manifest.json").stat().st_ino
    assert build(returns.project, resolved).folder == first.folder
    assert (first.folder / "manifest.json").stat().st_ino == inode
    kept = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    shutil.rmtree(returns.project.state.training_sets)
    shutil.rmtree(returns.project.state.features)
    second = build(returns.project, resolved)
    assert {path.name: path.read_bytes() for path in second.folder.iterdir()} == kept


def test_it_can_be_built_from_a_folder_of_partitions(returns, tmp_path) -> None:
    resolved = recipe(returns)
    shutil.copytree(returns.data, tmp_path / "elsewhere")
    expected = build(returns.project, resolved)
    shutil.rmtree(returns.project.state.root)
    built = build(returns.project, resolved, tmp_path / "elsewhere")
    assert (built.digest, built.folder) == (expected.digest, expected.folder)


@pytest.mark.parametrize("name", ["train.numeric.npy", "validate.label.npy", "train.rows.npy", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_set_is_built_again(returns, name: str, damage: str) -> None:
    built = build(returns.project, recipe(returns))
    path = built.folder / name
    good = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
    build(returns.project, recipe(returns))
    assert path.read_bytes() == good


def test_a_change_of_one_value_changes_the_digest(returns) -> None:
    before = build(returns.project, recipe(returns))
    table = returns.orders("2024-01-05", 20, returned=[outcome(4, i) for i in range(20)])
    returns.csv("2024-01-05", table.set_column(3, "price", [[*table["price"].to_pylist()[:-1], 99.0]]))
    ingest(returns.project, "orders", ["2024-01-05"])
    after = build(returns.project, recipe(returns))
    assert after.digest != before.digest
    assert after.folder != before.folder


def test_an_unstamped_day_is_refused_even_where_features_and_set_exist(returns) -> None:
    resolved = recipe(returns)
    build(returns.project, resolved)
    stamp_path(returns.data, "orders", "2024-01-02").unlink()  # a history day: features look at it, no row is learned
    with pytest.raises(Unstamped, match="never validated"):
        build(returns.project, resolved)


def test_one_class_only_is_refused_and_leaves_nothing(returns) -> None:
    path = returns.project.defs / "returns" / "features.py"
    path.write_text(VIEW.replace('return rows["returned"]', 'return rows["returned"] * 0'))
    with pytest.raises(TrainingSetError, match="one class only"):
        build(returns.project, recipe(returns))
    assert list(returns.project.state.training_sets.iterdir()) == []


@pytest.fixture
def timeless(make_shop):
    shop = make_shop(partitions="{kind: none}", source="{kind: files, url: in, pattern: orders.csv, format: csv}")
    path = shop.csv("2024-01-01", shop.orders("2024-01-01", 80, price=[float(i // 2) for i in range(80)]))
    path.rename(shop.inbox / "orders.csv")
    result = ingest(shop.project, "orders", ["all"])
    assert not result.failed, result.findings
    return with_recipe(shop, TIMELESS)


def test_without_time_rows_are_parted_by_their_values(timeless) -> None:
    resolved = load_recipe(timeless.project, "returns")
    built = build(timeless.project, resolved)
    test = load_split(timeless.project, resolved, schema=built.schema)
    prices = [set(built.array(name, "numeric")[:, 0]) for name in ("train", "validate")] + [set(test.numeric[:, 0])]
    assert all(prices)
    assert not prices[0] & prices[1]
    assert not (prices[0] | prices[1]) & prices[2]
    labelled = sum(value is not None for value in read_table(timeless.data, "orders", "all")["returned"].to_pylist())
    assert sum(built.manifest["splits"][name]["rows"] for name in ("train", "validate")) + len(test) == labelled == 64
    assert set(built.array("train", "day")) == {0}


def test_a_writer_digests_values_and_not_how_they_were_cut(tmp_path) -> None:
    random = np.random.default_rng(0)
    numeric, label = random.normal(size=(10, 3)).astype(np.float32), np.arange(10, dtype=np.float32)
    digests = set()
    for name, cuts in (("one", [0, 10]), ("two", [0, 3, 3, 10])):
        (tmp_path / name).mkdir()
        with SplitWriter(tmp_path / name, "train", 10, {"numeric": 3, "categorical": 0}) as writer:
            for low, high in pairwise(cuts):
                block = {
                    "numeric": numeric[low:high],
                    "categorical": np.zeros((high - low, 0)),
                    "label": label[low:high],
                    "day": label[low:high],
                }
                writer.append(block, np.arange(low, high, dtype=np.uint64))
            digests.add(writer.finish())
        assert np.array_equal(np.load(array_path(tmp_path / name, "train", "numeric"), mmap_mode="r"), numeric)
    assert len(digests) == 1
