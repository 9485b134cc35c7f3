"""Past: exact counts over the days before, equal to counting by hand, however the history was told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.point_in_time import History, Past, PointInTimeError

HISTORY = 5


def late(rows: pd.DataFrame) -> pd.Series:
    return (rows["delay"] > 15).astype(float).where(rows["delay"].notna())


def frame(rows: list[tuple[str | None, int, int | None]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "carrier": pd.Series([row[0] for row in rows], dtype=object),
            "hour": pd.Series([row[1] for row in rows], dtype="int64"),
            "delay": pd.Series([row[2] for row in rows], dtype="float64"),
        }
    )


row = st.tuples(
    st.sampled_from(["UA", "AA", "B6", None]), st.integers(5, 7), st.one_of(st.none(), st.integers(-30, 60))
)
calendar = st.dictionaries(st.integers(100, 115), st.lists(row, min_size=1, max_size=6), min_size=1, max_size=10)


def by_hand(
    rows: dict[int, list], day: int, by: tuple[str, ...], outcome: str, span: int
) -> tuple[list[int], list[int]]:
    places = [("carrier", "hour").index(name) for name in by]
    past = [one for d in range(day - span, day) for one in rows.get(d, []) if one[2] is not None]
    totals, known = [], []
    for row in rows[day]:
        alike = [one for one in past if all(one[place] == row[place] is not None for place in places)]
        totals.append(sum(one[2] if outcome == "delay" else one[2] > 15 for one in alike))
        known.append(len(alike))
    return totals, known


def served(days: dict[int, pd.DataFrame], wanted: list[int]) -> dict[int, Past]:
    """Each wanted day's answers, asked in one run; the answers must be taken while the day is served."""
    history, found = History(HISTORY), {}
    told = -1
    for day in wanted:
        for earlier in range(max(told + 1, day - HISTORY), day):
            if earlier in days:
                history.add(earlier, days[earlier])
        told = day - 1
        past = history.past(day, days[day].drop(columns="delay"))
        found[day] = {
            (by, outcome if isinstance(outcome, str) else "late", span): past.sums(by, outcome, span)
            for by in ((), ("carrier",), ("carrier", "hour"))
            for outcome in ("delay", late)
            for span in (1, 3, 5)
        }
    return found


@settings(max_examples=25)
@given(rows=calendar)
def test_counts_are_those_counted_by_hand(rows) -> None:
    days = {day: frame(content) for day, content in rows.items()}
    for day, answers in served(days, sorted(days)).items():
        for (by, outcome, span), tally in answers.items():
            expected = by_hand(rows, day, by, outcome, span)
            assert (tally.total.tolist(), tally.known.tolist()) == expected, (day, by, outcome, span)


@settings(max_examples=25)
@given(rows=calendar, data=st.data())
def test_a_day_alone_counts_as_in_any_range(rows, data) -> None:
    days = {day: frame(content) for day, content in rows.items()}
    some = sorted(data.draw(st.sets(st.sampled_from(sorted(days)), min_size=1)))
    together = served(days, some)
    for day in some:
        alone = served(days, [day])[day]
        for question, tally in together[day].items():
            assert np.array_equal(tally.total, alone[question].total)
            assert np.array_equal(tally.known, alone[question].known)


def one_past(history_days: int = HISTORY) -> Past:
    history = History(history_days)
    history.add(1, frame([("UA", 5, 30), ("UA", 6, 0), ("AA", 5, None)]))
    return history.past(2, frame([("UA", 5, None), ("AA", 5, None), (None, 5, None)]).drop(columns="delay"))


def test_short_history_is_a_null_and_a_zero_count() -> None:
    tally = one_past().rates(["carrier"], late, 5)
    assert tally.known.tolist() == [2, 0, 0]
    assert tally.mean[0] == 0.5
    assert np.isnan(tally.mean[1:]).all()


def test_few_rows_are_drawn_towards_the_prior() -> None:
    past = one_past()
    drawn = past.rates(["carrier"], late, 5).towards(past.rates([], late, 5), 2)
    assert drawn.tolist() == [(1 + 2 * 0.5) / 4, 0.5, 0.5]


def test_days_known_counts_days_with_rows() -> None:
    assert one_past().days_known == 1


def test_an_outcome_is_no_group() -> None:
    with pytest.raises(PointInTimeError, match="cannot be grouped by delay"):
        one_past().sums(["delay"], late, 3)


@pytest.mark.parametrize("days", [0, HISTORY + 1])
def test_a_window_beyond_the_history_is_refused(days: int) -> None:
    with pytest.raises(PointInTimeError, match="history_days"):
        one_past().sums(["carrier"], late, days)


def test_an_outcome_that_is_no_whole_number_is_refused() -> None:
    history = History(3)
    history.add(1, frame([("UA", 5, 1)]).assign(delay=0.5))
    with pytest.raises(PointInTimeError, match="not whole numbers"):
        history.past(2, frame([("UA", 5, None)])).sums(["carrier"], "delay", 1)


def test_a_local_function_is_refused_as_outcome() -> None:
    def local(rows: pd.DataFrame) -> pd.Series:
        return rows["delay"]

    with pytest.raises(PointInTimeError, match="inside another function"):
        one_past().sums(["carrier"], local, 1)


def test_the_day_itself_may_not_be_known() -> None:
    history = History(3)
    history.add(2, frame([("UA", 5, 1)]))
    with pytest.raises(AssertionError):
        history.past(2, frame([("UA", 5, 1)]))
