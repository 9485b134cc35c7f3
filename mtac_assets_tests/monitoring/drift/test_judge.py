from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.reference import Block, build
from mtac_assets.monitoring.drift.rows import Categories, DriftError, Rows
from mtac_assets.spec.recipe import DriftFloor, DriftTrigger

few = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drivers(verdict) -> set[tuple[str, str]]:
    return {(driver.component.kind, driver.component.column.name) for driver in verdict.drivers}


def reordered(rows: Rows, order: np.ndarray) -> Rows:
    return Rows(
        {name: values[order] for name, values in rows.numeric.items()},
        {name: Categories(held.codes[order], held.values) for name, held in rows.categorical.items()},
        None if rows.score is None else rows.score[order],
        rows.raw,
    )


def changed(rows: Rows, **columns: np.ndarray) -> Rows:
    return replace(rows, numeric={**rows.numeric, **columns})


def test_days_of_the_same_world_are_seldom_called_drift(world) -> None:
    verdicts = [judge(world.reference, [world.block(100 + n)], world.trigger) for n in range(60)]
    assert sum(bool(verdict.drifted) for verdict in verdicts) <= 3  # 1 % of windows; more than 3 of 60: once in 3,000
    assert np.mean([verdict.p_value <= 0.5 for verdict in verdicts]) > 0.2  # and not because nothing ever would be


def test_each_kind_of_drift_is_found_where_it_is(world) -> None:
    rng = np.random.default_rng(1)
    rows = world.day(200)
    numeric = rows.numeric
    cases = {
        ("shift", "plain"): changed(rows, plain=numeric["plain"] + 0.6),
        ("spread", "plain"): changed(rows, plain=numeric["plain"] * 2),
        ("tails", "plain"): changed(rows, plain=np.where(np.arange(300) < 12, 9.0, numeric["plain"])),
        ("missing", "plain"): changed(rows, plain=np.where(np.arange(300) < 20, np.nan, numeric["plain"])),
        ("missing", "tail"): replace(rows, raw={"tail": (60, 300)}),
        ("correlation", "base"): changed(rows, tied=rng.permutation(numeric["tied"])),
        ("shift", "score"): replace(rows, score=rows.score * 0.7),
        ("tails", "constant"): changed(rows, constant=numeric["constant"] + 0.001),
        ("missing", "empty"): changed(rows, empty=np.zeros(300)),
    }
    words = rows.categorical["word"]
    fresh = np.where(np.arange(300) < 12, 4, words.codes)
    cases["new", "word"] = replace(rows, categorical={"word": Categories(fresh, (*words.values, "yew"))})
    cases["categories", "word"] = replace(
        rows, categorical={"word": Categories(np.where(words.codes == 1, 0, words.codes), words.values)}
    )
    cases["missing", "word"] = replace(
        rows, categorical={"word": Categories(np.where(np.arange(300) < 80, -1, words.codes), words.values)}
    )
    for expected, drifted in cases.items():
        verdict = judge(world.reference, [world.block(200, drifted)], world.trigger)
        assert verdict.drifted, expected
        assert expected in drivers(verdict), (expected, drivers(verdict))


def test_what_drives_shows_its_numbers(world) -> None:
    rows = world.day(200)
    verdict = judge(world.reference, [world.block(200, changed(rows, plain=rows.numeric["plain"] + 1))], world.trigger)
    (driver,) = [one for one in verdict.drivers if one.component.kind == "shift"]
    assert driver.effect == pytest.approx(1.0, abs=0.15)
    assert driver.evidence["toward"] == "higher"
    assert driver.evidence["now"][1] - driver.evidence["before"][1] == pytest.approx(1.0, abs=0.25)
    assert verdict.p_value == 1 / 501
    assert verdict.document()["components"][0]["drives"]


@few
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.8]))
def test_the_order_of_rows_and_of_columns_changes_nothing(world, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    rows = world.day(300, shift=shift)
    mixed = reordered(rows, rng.permutation(rows.count))
    names = rng.permutation(list(mixed.numeric))
    mixed = replace(mixed, numeric={name: mixed.numeric[name] for name in names})
    a = judge(world.reference, [world.block(300, rows)], world.trigger)
    b = judge(world.reference, [world.block(300, mixed)], world.trigger)
    assert a.document() == b.document()


def test_the_order_of_a_references_rows_and_columns_changes_nothing(world) -> None:
    rng = np.random.default_rng(0)
    blocks = []
    for seed in range(60):
        rows = reordered(world.day(seed), rng.permutation(300))
        blocks.append(world.block(seed, replace(rows, numeric=dict(reversed(rows.numeric.items())))))
    assert build(blocks).digest == world.reference.digest


@few
@given(st.permutations(range(4)))
def test_the_order_of_a_dictionary_changes_nothing(world, order: list[int]) -> None:
    rows = world.day(5)
    words = rows.categorical["word"]
    place = np.append(np.argsort(order), -1)
    other = Categories(place[words.codes], tuple(words.values[n] for n in order))
    a = judge(world.reference, [world.block(5)], world.trigger)
    b = judge(world.reference, [world.block(5, replace(rows, categorical={"word": other}))], world.trigger)
    assert a.document() == b.document()


def test_the_seed_decides_and_nothing_else(world) -> None:
    rows = [world.block(300, world.day(300, shift=0.25))]
    again = [judge(world.reference, rows, world.trigger).document() for _ in range(2)]
    assert again[0] == again[1]
    other = judge(world.reference, rows, world.trigger.model_copy(update={"seed": 1})).document()
    assert other["method"]["threshold_null"] != again[0]["method"]["threshold_null"]
    np.random.seed(3)
    state = np.random.get_state()[1].copy()
    judge(world.reference, rows, world.trigger)
    assert (np.random.get_state()[1] == state).all()


def test_what_cannot_be_judged_is_listed_with_its_reason(world) -> None:
    rows = world.day(9)
    verdict = judge(world.reference, [world.block(9, changed(rows, plain=np.full(300, np.nan)))], world.trigger)
    reasons = {(c.kind, c.column.name, c.other.name if c.other else ""): why for c, why in verdict.unjudged}
    assert reasons["shift", "constant", ""] == "constant or empty in the reference"
    assert reasons["tails", "empty", ""] == "constant or empty in the reference"
    assert reasons["shift", "plain", ""].startswith("0 values present in the window")
    assert drivers(verdict) == {("missing", "plain")}  # a column that went all null is not silence


@pytest.mark.parametrize("rows", [50, 100_000])
def test_small_and_huge_windows_without_drift_are_fine_and_with_it_are_not(world, rows: int) -> None:
    assert judge(world.reference, [world.block(7, world.day(7, rows))], world.trigger).drifted is False
    drifted = judge(world.reference, [world.block(7, world.day(7, rows, shift=1.5))], world.trigger)
    assert ("shift", "plain") in drivers(drifted)


def test_a_certain_but_tiny_change_is_no_drift(world) -> None:
    days = [Block(f"{n:03d}", world.day(n, 10_000)) for n in range(25)]
    reference = build(days)
    window = [Block("new", world.day(99, 10_000, shift=0.06))]
    assert judge(reference, window, world.trigger).drifted is False
    careful = world.trigger.model_copy(update={"min_effect": DriftFloor(shift=0.02)})
    assert ("shift", "plain") in drivers(judge(reference, window, careful))


def test_too_little_is_said_and_not_guessed(world) -> None:
    few_rows = judge(world.reference, [world.block(7, world.day(7, 49))], world.trigger)
    assert few_rows.drifted is None
    assert few_rows.reason == "49 rows, fewer than the 50 of min_rows"
    no_rows = judge(world.reference, [world.block(7, world.day(7, 0))], world.trigger)
    assert no_rows.drifted is None
    short = build([world.block(n) for n in range(19)])
    assert "19 blocks, fewer than 20" in (judge(short, [world.block(30)], world.trigger).reason or "")
    longer = DriftTrigger(window_days=4, resamples=300)
    told = judge(world.reference, [world.block(90 + n) for n in range(4)], longer)
    assert "fewer than 80" in (told.reason or "")


def test_several_days_are_judged_as_one_window(world) -> None:
    trigger = DriftTrigger(window_days=3, resamples=500)
    weak = [world.block(90 + n, world.day(90 + n, shift=0.25)) for n in range(3)]
    calm = [world.block(90 + n) for n in range(3)]
    assert judge(world.reference, calm, trigger).drifted is False
    assert ("shift", "plain") in drivers(judge(world.reference, weak, trigger))
    assert judge(world.reference, weak[:1], world.trigger).ratio < judge(world.reference, weak, trigger).ratio
    with pytest.raises(DriftError, match="2 blocks"):
        judge(world.reference, weak[:2], trigger)


def test_a_weekly_rhythm_is_no_drift_and_hides_none(world) -> None:
    def day(n: int, shift: float = 0.0) -> Block:
        return Block(f"{n:03d}", world.day(n, shift=2.0 * (n % 7 == 6) + shift), n % 7)

    reference = build([day(n) for n in range(63)])
    assert reference.by_calendar
    calm = [judge(reference, [day(n)], world.trigger) for n in range(63, 77)]
    assert sum(bool(verdict.drifted) for verdict in calm) <= 1
    assert not any(column == "plain" for verdict in calm for _, column in drivers(verdict))
    sunday_on_wednesday = Block("x", world.day(66, shift=2.0), 66 % 7)
    assert ("shift", "plain") in drivers(judge(reference, [sunday_on_wednesday], world.trigger))
    assert ("shift", "plain") in drivers(judge(reference, [day(69, shift=0.6)], world.trigger))
    unknown = judge(reference, [Block("x", world.day(1), 8)], world.trigger)
    assert unknown.reason == "no history of the calendar slot 8"


def test_columns_other_than_the_references_are_refused(world) -> None:
    rows = world.day(3)
    without = replace(rows, numeric={name: values for name, values in rows.numeric.items() if name != "plain"})
    with pytest.raises(DriftError, match=r"plain \(absent\)"):
        judge(world.reference, [world.block(3, without)], world.trigger)
    with pytest.raises(DriftError, match=r"more \(not in the reference\)"):
        judge(world.reference, [world.block(3, changed(rows, more=rows.numeric["plain"]))], world.trigger)
    swapped = replace(without, categorical={**rows.categorical, "plain": Categories(np.zeros(300, dtype=int), ("a",))})
    with pytest.raises(DriftError, match=r"numeric plain \(absent\), categorical plain \(not in the reference\)"):
        judge(world.reference, [world.block(3, swapped)], world.trigger)


@few
@given(st.data())
def test_whatever_comes_the_verdict_is_plain_json_without_nan(world, data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = data.draw(st.sampled_from([0, 1, 49, 50, 51, 400]))
    base = world.day(1, count)
    numeric = {}
    for name, values in base.numeric.items():
        kind = data.draw(st.sampled_from(["as it is", "empty", "constant", "huge", "holes"]), label=name)
        values = {"empty": values * np.nan, "constant": values * 0 + 3, "huge": values * 1e30, "as it is": values}.get(
            kind, values
        )
        numeric[name] = np.where(rng.random(count) < 0.97, np.nan, values) if kind == "holes" else values
    words = data.draw(st.sampled_from([(), ("ash",), ("new", "birch")]))
    codes = rng.integers(-1, len(words), count)
    raw = {"tail": data.draw(st.sampled_from([(0, 0), (0, 9), (9, 9)]))}
    rows = Rows(numeric, {"word": Categories(codes, words)}, base.score, raw)
    document = judge(world.reference, [world.block(1, rows)], world.trigger).document("OK")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["drifted"] is None) == (count < 50)
    if count >= 50:
        judged = {(one["kind"], one["column"]) for one in document["unjudged"]}
        empty = [name for name, values in numeric.items() if np.isnan(values).all() and name != "empty"]
        driving = {(one["kind"], one["column"]) for one in document["components"] if one["drives"]}
        assert {("missing", name) for name in empty} <= driving  # what went missing is told, not passed over
        assert {("shift", name) for name in empty} <= judged


def test_one_odd_day_of_the_history_blinds_its_own_column_and_no_other(world) -> None:
    def day(n: int, odd: bool, **more: np.ndarray) -> Block:
        rows = world.day(n)
        return Block(f"{n:03d}", changed(rows, rare=np.full(300, 50.0 * odd) + np.arange(300) % 2 * odd, **more))

    reference = build([day(n, odd=n == 30) for n in range(60)])
    assert judge(reference, [day(99, odd=False)], world.trigger).drifted is False
    shifted = day(99, odd=False, plain=world.day(99).numeric["plain"] + 0.8)
    assert ("shift", "plain") in drivers(judge(reference, [shifted], world.trigger))
    again = judge(reference, [day(99, odd=True)], world.trigger)
    assert not {column for kind, column in drivers(again) if kind in ("shift", "spread")} & {"rare"}
