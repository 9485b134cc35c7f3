"""Rules between a recipe's fields: what is watched on live labels counts days, and a recipe without time has none."""

from __future__ import annotations

import pytest

from mtac_assets.spec.recipe import PerformanceTrigger, Rollback, Shadow, Triggers, Window
from mtac_assets.spec.recipe_checks import CHECKS

WINDOW = Window(train_days=10, validate_days=2, test_days=3, history_days=0)
WATCHED = {
    "performance": PerformanceTrigger(),
    "shadow": Shadow(days=7),
    "rollback": Rollback(),
}


def _check():
    (check,) = [check for check in CHECKS if check.run.__name__ == "_live_labels_need_days"]
    return check


@pytest.mark.parametrize("name", WATCHED)
def test_what_counts_days_needs_a_window(name: str):
    check = _check()
    triggers = Triggers.model_validate({name: WATCHED[name]})
    (problem,) = check.run(triggers, None)
    assert problem.path == ("triggers", name)
    assert not list(check.run(triggers, WINDOW))
    assert not list(check.run(Triggers(), None))


def test_a_reference_of_too_few_days_is_refused_before_it_never_alarms():
    from mtac_assets.evaluation.bootstrap import MIN_DAYS
    from mtac_assets.spec.recipe_checks import MIN_REFERENCE_DAYS

    assert MIN_REFERENCE_DAYS == MIN_DAYS
    few = WINDOW.model_copy(update={"test_days": MIN_DAYS - 1})
    (problem,) = _check().run(Triggers(performance=PerformanceTrigger()), few)
    assert problem.path == ("triggers", "performance")
    assert not list(_check().run(Triggers(shadow=Shadow(days=7)), few))
