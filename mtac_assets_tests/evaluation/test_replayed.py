"""Policies side by side: the numbers, and the sentence that they carry."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.replay_page import replay_page
from mtac_assets.evaluation.replayed import Served, replay_document
from mtac_assets.provenance.files import write_json
from mtac_assets.spec.recipe import Bootstrap

FIRST = np.datetime64("2013-03-01").astype(int)
ROWS = 60
BOOTSTRAP = Bootstrap(resamples=200, seed=3)


def served(days: int, skill: float, *, begin: int = 0, seed: int = 0) -> Served:
    """Rows whose label follows a hidden number that the score knows with `skill` (0 to 1); the same rows whatever the skill."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=days * ROWS)
    label = (hidden + rng.normal(size=days * ROWS) > 0).astype(np.float32)
    score = 1 / (1 + np.exp(-1.5 * (skill * hidden)))
    day = np.repeat(np.arange(days), ROWS) + FIRST + begin
    kept = day >= FIRST + begin
    return Served(day[kept].astype(np.int32), label[kept], score[kept])


def account(trainings: int, days: int, alarms: int = 0, cost: float | None = 8.0) -> dict[str, Any]:
    """An account of trainings a week apart, every second of which was refused."""
    at = [f"{np.datetime64('2013-03-12') + 7 * n}T03:00:00.000+00:00" for n in range(trainings)]
    return {
        "first": "2013-03-01",
        "last": str(np.datetime64("2013-03-01") + days),
        "arrivals": {
            "flights": {
                "landed": days,
                "partitions": days - 1,
                "quarantined_rows": 2,
                "refused": {"2013-03-04": "tried 3 times"},
            }
        },
        "trainings": [
            {
                "at": moment,
                "model_id": f"m-{n}",
                "as_of": moment[:10],
                "trigger": "schedule",
                "why": "",
                "weights_digest": "",
                "cost": {"seconds": 9.0, "cpu_seconds": cost},
            }
            for n, moment in enumerate(at)
        ],
        "failures": [],
        "decisions": [
            {
                "at": moment,
                "kind": "refuse" if n % 2 else "promote",
                "model_id": f"m-{n}",
                "by": "replay",
                "refused_by": ["champion:log_loss: effect may be noise"] if n % 2 else [],
            }
            for n, moment in enumerate(at)
        ],
        "alarms": [
            {
                "at": "2013-04-02T01:01:00.000+00:00",
                "kind": "drift",
                "model_id": "m-0",
                "last_day": "2013-04-01",
                "says": "ALARM: humidity",
            }
        ]
        * alarms,
        "days": [
            {
                "day": str(np.datetime64("2013-03-01") + n),
                "champion": "m-0",
                "rows": ROWS,
                "labelled": ROWS,
                "log_loss": 0.5,
                "roc_auc": 0.7,
            }
            for n in range(days)
        ],
        "seconds": {"days": 1.0, "trainings": 2.0, "decisions": 3.0},
    }


def policy(name: str) -> Mapping[str, Any]:
    return {"name": name, "about": f"{name} it is", "keeps": [], "sets": []}


def document(days: int, **skills: tuple[float, int]) -> dict[str, Any]:
    played = [
        (policy(name), account(trainings, days), served(days, skill)) for name, (skill, trainings) in skills.items()
    ]
    return replay_document("flights", played, BOOTSTRAP)


def test_the_cheapest_of_those_that_are_not_told_apart_from_the_best_is_named() -> None:
    found = document(84, never=(0.2, 1), weekly=(0.9, 12), nightly=(0.9, 80))
    assert "retraining pays: `weekly`" in found["says"]
    assert "12 trainings" in found["says"]
    assert "`nightly`, with more of them, is not told apart" in found["says"]
    assert found["compared"] == {
        "days": 84,
        "first": "2013-03-01",
        "last": "2013-05-23",
        "rows": 84 * ROWS,
        "unit": "week",
    }
    never, weekly, _ = found["policies"]
    assert never["against"] is None
    assert weekly["against"]["log_loss"]["low"] > 0
    assert weekly["live"]["log_loss"]["value"] < never["live"]["log_loss"]["value"]
    assert (weekly["trainings_count"], weekly["promotions"], weekly["refusals"], weekly["cpu_seconds"]) == (
        12,
        6,
        6,
        96.0,
    )


def test_policies_that_serve_alike_do_not_pay() -> None:
    assert "retraining is not shown to pay" in document(30, never=(0.5, 1), weekly=(0.5, 4))["says"]


def test_a_policy_that_is_worse_is_named() -> None:
    assert "`weekly` was worse" in document(84, never=(0.9, 1), weekly=(0.1, 12))["says"]


def test_where_never_was_not_played_the_first_is_the_reference() -> None:
    found = document(84, weekly=(0.3, 12), nightly=(0.9, 80))
    assert found["reference"] == "weekly"
    assert found["says"].endswith("no other policy is as good with as few.")


def test_only_days_that_all_served_are_compared_and_few_are_resampled_by_day() -> None:
    long, short = served(20, 0.5), served(20, 0.5)
    late = Served(*(values[5 * ROWS :] for values in (short.day, short.label, short.score)))
    found = replay_document(
        "flights", [(policy("never"), account(1, 20), long), (policy("weekly"), account(2, 20), late)], BOOTSTRAP
    )
    assert (found["compared"]["days"], found["compared"]["unit"], found["compared"]["first"]) == (
        15,
        "day",
        "2013-03-06",
    )


def test_policies_that_did_not_serve_the_same_rows_are_refused() -> None:
    with pytest.raises(EvaluationError, match="did not serve the rows"):
        replay_document(
            "flights",
            [
                (policy("never"), account(1, 9), served(9, 0.5)),
                (policy("weekly"), account(1, 9), served(9, 0.5, seed=1)),
            ],
            BOOTSTRAP,
        )


def test_a_cost_that_is_not_known_is_not_made_up() -> None:
    found = replay_document("flights", [(policy("never"), account(2, 9, cost=None), served(9, 0.5))], BOOTSTRAP)
    assert found["policies"][0]["cpu_seconds"] is None
    assert "unknown" in replay_page(found)


def test_a_policy_that_watches_nothing_has_no_number_of_alarms() -> None:
    by_calendar = account(12, 84) | {"watched": []}
    watching = account(2, 84, alarms=2) | {"watched": ["drift"]}
    played = [
        (policy("weekly"), by_calendar, served(84, 0.9)),
        (policy("drift"), watching, served(84, 0.8)),
        (policy("earlier"), account(2, 84, alarms=1), served(84, 0.8)),
    ]
    found = replay_document("flights", played, BOOTSTRAP)
    assert [one["alarms_count"] for one in found["policies"]] == [None, 2, 1]
    page = replay_page(found)
    assert '<td class="n">–</td>' in page
    assert "12 trainings, 12 decisions</summary>" in page
    assert "2 trainings, 2 decisions, 2 alarms" in page


def test_the_page_tells_all_of_it_and_stands_alone(tmp_path: Path) -> None:
    played = [
        (policy("never"), account(1, 84), served(84, 0.2)),
        (policy("weekly"), account(12, 84, alarms=2), served(84, 0.9)),
        (policy("<b>own</b>"), account(3, 84), served(84, 0.6)),
    ]
    found = replay_document("flights", played, BOOTSTRAP)
    write_json(tmp_path / "replay.json", found)
    page = replay_page(found)
    for said in (
        "retraining pays",
        "weekly it is",
        "m-11",
        "ALARM: humidity",
        "champion:log_loss",
        "2013-03-04: tried 3 times",
        "83 became partitions",
    ):
        assert said in page
    assert page.count('class="key"') == 3 * len(played), (
        "the table and two legends name each policy beside its line and mark"
    )
    for metric in ("live log loss (less is better)", "live ROC AUC (more is better)"):
        for cost in ("trainings", "CPU seconds of training"):
            assert f'aria-label="{metric} over {cost}"' in page
    assert "<b>own</b>" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_no_labelled_day_is_a_page_too() -> None:
    nothing = Served(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0))
    empty = copy.deepcopy(account(0, 3))
    empty["days"] = []
    found = replay_document("flights", [(policy("never"), empty, nothing)], BOOTSTRAP)
    assert "nothing can be said" in found["says"]
    assert "No day was served" in replay_page(found)


def test_labels_of_one_class_have_a_loss_and_no_roc_auc() -> None:
    rows = served(9, 0.5)
    one_class = Served(rows.day, np.zeros_like(rows.label), rows.score)
    found = replay_document("flights", [(policy("never"), account(2, 9), one_class)], BOOTSTRAP)
    assert found["policies"][0]["live"]["roc_auc"]["value"] is None
    page = replay_page(found)
    assert "live log loss (less is better) over trainings" in page
    assert "live ROC AUC (more is better) over" not in page
