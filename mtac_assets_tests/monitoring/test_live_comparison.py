"""Two real models on the same live rows: paired, and only where it is the same question."""

from __future__ import annotations

import numpy as np
import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.evaluation.compare import compare
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.live_comparison import compare_live, judge_rollback, judge_shadow, labelled_days
from mtac_assets.monitoring.predictions import score_days
from mtac_assets.monitoring.stored_predictions import read_scores
from mtac_assets.spec.recipe import Rollback, Shadow
from mtac_assets_tests.monitoring.conftest import Watched, change_outcomes


@pytest.fixture
def both(watched: Watched) -> Watched:
    """Both models have scored all live days."""
    for model_id in (watched.champion, watched.challenger):
        score_days(watched.project, model_id, watched.live)
    return watched


def test_it_is_the_paired_comparison_of_the_stored_scores(both: Watched):
    found = compare_live(both.project, both.challenger, both.champion, both.live)
    ours, theirs = (
        read_scores(both.project, "floods", model_id, both.live) for model_id in (both.challenger, both.champion)
    )
    labels, scores, others = (
        np.concatenate([scored[day][1][name].to_numpy() for day in both.live])
        for scored, name in ((ours, "label"), (ours, "score"), (theirs, "score"))
    )
    days = np.repeat(both.live, [ours[day][1].num_rows for day in both.live])
    assert found == compare(labels, days, scores, others, "log_loss", resamples=100, seed=1)
    back = compare_live(both.project, both.champion, both.challenger, both.live)
    assert found.effect == pytest.approx(-(back.effect or 0.0))


def test_a_model_against_itself_is_no_better(both: Watched):
    found = compare_live(both.project, both.champion, both.champion, both.live)
    assert (found.effect, found.p_value) == (0.0, 1.0)


def test_rows_without_a_label_do_not_count(both: Watched):
    days = both.live[:6]
    change_outcomes(both.root, days[0], lambda _: "")
    ingest(both.project, "tides", days)
    for model_id in (both.champion, both.challenger):
        score_days(both.project, model_id, both.live)
    assert labelled_days(both.project, both.champion, days) == tuple(days[1:])
    found = compare_live(both.project, both.challenger, both.champion, days)
    assert (found.days, found.rows) == (5, 600)
    with pytest.raises(MonitoringError, match="none of 1 days has a label"):
        compare_live(both.project, both.challenger, both.champion, days[:1])


def test_scores_of_different_rows_are_not_compared(both: Watched):
    day = both.live[0]
    change_outcomes(both.root, day, lambda known: known if known == "0" else "0")
    ingest(both.project, "tides", [day])
    score_days(both.project, both.champion, both.live)
    with pytest.raises(MonitoringError, match=f"tides/{day} changed"):
        compare_live(both.project, both.challenger, both.champion, [day])


def test_days_that_one_of_them_learned_from_are_refused(both: Watched):
    with pytest.raises(MonitoringError, match="may have learned"):
        compare_live(both.project, both.challenger, both.champion, ["2024-01-08"])


def test_a_shadow_and_a_rollback_are_judged_on_real_scores(both: Watched):
    waiting = judge_shadow(both.project, both.champion, both.challenger, both.live[:4], Shadow(days=7, min_rows=1))
    assert (waiting.decision, waiting.reason) == ("wait", "4 of 7 days have labels")
    settings = Shadow(days=7, min_rows=100)
    verdict = judge_shadow(both.project, both.champion, both.challenger, both.live, settings)
    expected = compare_live(both.project, both.challenger, both.champion, both.live[:7])
    assert verdict.evidence["comparison"] == expected.document()
    assert verdict.decision == ("promote" if (expected.p_value or 1.0) <= settings.alpha else "refuse")
    look = judge_rollback(both.project, both.champion, both.challenger, both.live, Rollback(window_days=5, min_rows=1))
    assert look.evidence["look"] == 2
    assert look.evidence["days"] == both.live[:10]
    assert look.evidence["alpha"] == pytest.approx(0.05 / 4)
