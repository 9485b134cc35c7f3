"""Policies side by side on the same days: live metrics of the champions that each served, against trainings and CPU seconds.

Belongs here: numbers from accounts and scored rows, and the sentence that says what they mean. How days are played is
orchestration's matter; how it looks is `replay_page`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from mtac_assets.evaluation.bootstrap import resample_days
from mtac_assets.evaluation.compare import compare_resampled, resampled
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.metrics import measure
from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows
from mtac_assets.evaluation.verdict import signed
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Bootstrap

SCHEMA_VERSION = 1
LIVE = ("log_loss", "roc_auc")
DECIDING = "log_loss"
REFERENCE = "never"
WEEK = 7
LEAST_WEEKS = 10  # with fewer, days are resampled


@dataclass(frozen=True, eq=False)
class Served:
    """A policy's rows: day (days since 1970-01-01), label and score, each [N], in the same order for every policy."""

    day: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def on(self, days: np.ndarray) -> Served:
        kept = np.isin(self.day, days)
        return Served(self.day[kept], self.label[kept], self.score[kept])


def replay_document(
    recipe: str,
    played: Sequence[tuple[Mapping[str, Any], Mapping[str, Any], Served]],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """`replay.json`. `played`: of each policy its own document, its account, and its rows.

    Raises EvaluationError where two policies did not serve the same rows with the same labels on a day that both served.
    """
    days = _common([served for _, _, served in played])
    rows = _rows(played, days)
    compared: dict[str, Any] = {"days": len(days), "first": None, "last": None, "rows": 0, "unit": None}
    live: list[dict[str, Any]] = [dict.fromkeys(LIVE) for _ in played]
    against: list[dict[str, Any] | None] = [None for _ in played]
    names = [policy["name"] for policy, _, _ in played]
    reference = names.index(REFERENCE) if REFERENCE in names else 0
    pairs: dict[tuple[int, int], Any] = {}
    if rows:
        unit = _unit(days)
        resampling = resample_days(
            rows[0].day_count, resamples=bootstrap.resamples, seed=bootstrap.seed, confidence=bootstrap.confidence
        )
        compared |= {"first": _iso(days[0]), "last": _iso(days[-1]), "rows": rows[0].rows, "unit": unit}
        live = [{name: value.document() for name, value in measure(one, resampling, LIVE).items()} for one in rows]
        kept = {metric: [resampled(one, metric, resampling) for one in rows] for metric in LIVE}
        for index in range(len(rows)):
            if index != reference:
                against[index] = {
                    metric: compare_resampled(kept[metric][index], kept[metric][reference], resampling).document()
                    for metric in LIVE
                }
        best = min(range(len(rows)), key=lambda index: live[index][DECIDING]["value"])
        for index in range(len(rows)):
            if index != best:
                pairs[best, index] = compare_resampled(
                    kept[DECIDING][best], kept[DECIDING][index], resampling
                ).document()
    policies = [
        {
            **policy,
            **_counts(account),
            "live": live[index],
            "against": against[index],
            "weeks": _weeks(account["days"], account["first"]),
            **{name: account[name] for name in ("trainings", "failures", "decisions", "alarms", "arrivals", "seconds")},
        }
        for index, (policy, account, _) in enumerate(played)
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe,
        "first": played[0][1]["first"],
        "last": played[0][1]["last"],
        "compared": compared,
        "reference": names[reference],
        "confidence": bootstrap.confidence,
        "resamples": bootstrap.resamples,
        "policies": policies,
    }
    return document | {"says": says(document, pairs)}


def says(document: Mapping[str, Any], pairs: Mapping[tuple[int, int], Mapping[str, Any]]) -> str:
    """What the table says, in a sentence: whether retraining pays on these days, and the cheapest way that does.

    `pairs`: comparisons of the best policy with each other, by index; "as good as" means not told apart, nothing more.
    """
    policies, compared = document["policies"], document["compared"]
    if not compared["days"]:
        return "No day was served by a champion with labels under all policies, so nothing can be said."
    if len(policies) == 1:
        return f"One policy was played, so there is nothing to compare {policies[0]['name']} with."
    where = f"On these {compared['days']} days"
    reference = document["reference"]
    better = [index for index, policy in enumerate(policies) if _low(policy) > 0]
    if not better:
        worse = [policy["name"] for policy in policies if _high(policy) < 0]
        tail = f"; {_listed(worse)} {'was' if len(worse) == 1 else 'were'} worse" if worse else ""
        return f"{where} no policy is told apart as better than `{reference}`: retraining is not shown to pay{tail}."
    best = min(better, key=lambda index: policies[index]["live"][DECIDING]["value"])
    equal = [index for index in better if index == best or not _told_apart(pairs.get((best, index)))]
    chosen = min(equal, key=lambda index: (policies[index]["trainings_count"], index))
    policy = policies[chosen]
    gain = policy["against"][DECIDING]
    words = (
        f"{where} retraining pays: `{policy['name']}` lowers live log loss by {gain['effect']:.4f} "
        f"({signed(gain['low'])} to {signed(gain['high'])}) against `{reference}`, with {_times(policy['trainings_count'])}"
    )
    others = [policies[index]["name"] for index in equal if index != chosen]
    if others:
        return f"{words}; {_listed(others)}, with more of them, {'is' if len(others) == 1 else 'are'} not told apart from it."
    return f"{words}; no other policy is as good with as few."


def _common(served: Sequence[Served]) -> np.ndarray:
    days = np.unique(served[0].day)
    for one in served[1:]:
        days = np.intersect1d(days, one.day)
    return days


def _rows(played: Sequence[tuple[Mapping[str, Any], Mapping[str, Any], Served]], days: np.ndarray) -> list[ScoredRows]:
    if len(days) == 0:
        return []
    first = played[0][2].on(days)
    units = (first.day - days[0]) // WEEK if _unit(days) == "week" else first.day
    base = scored_rows(first.label, units, first.score, played[0][0]["name"])
    found = [base]
    for policy, _, served in played[1:]:
        own = served.on(days)
        if not (np.array_equal(own.day, first.day) and np.array_equal(own.label, first.label)):
            raise EvaluationError(
                Finding(
                    f"{policy['name']} did not serve the rows that {played[0][0]['name']} served",
                    "replay",
                    "the same rows with the same labels on every day that both served",
                    "a recipe whose data depends on its model cannot be compared like this",
                )
            )
        found.append(base.with_scores(own.score, policy["name"]))
    return found


def _unit(days: np.ndarray) -> str:
    """What is resampled: weeks where there are enough, for neighbouring days share a champion and a season; else days."""
    return "week" if len(np.unique((days - days[0]) // WEEK)) >= LEAST_WEEKS else "day"


def _counts(account: Mapping[str, Any]) -> dict[str, Any]:
    """The table's plain numbers. CPU seconds are None where the cost of a training is not known, alarms where nothing watched:
    none is no news then. Accounts of earlier versions do not say who watched."""
    kinds = [decision["kind"] for decision in account["decisions"]]
    costs = [training["cost"]["cpu_seconds"] for training in account["trainings"]]
    return {
        "trainings_count": len(account["trainings"]),
        "promotions": kinds.count("promote"),
        "refusals": kinds.count("refuse"),
        "rollbacks": kinds.count("rollback"),
        "alarms_count": len(account["alarms"]) if account.get("watched", True) else None,
        "failed_trainings": len(account["failures"]),
        "cpu_seconds": None if None in costs else round(sum(costs), 1),
    }


def _weeks(days: Sequence[Mapping[str, Any]], first: str) -> list[dict[str, Any]]:
    """Live metrics by week of the replay: the days' own, weighted by their rows; None where the week has none."""
    begin = date.fromisoformat(first)
    weeks: dict[int, list[Mapping[str, Any]]] = {}
    for day in days:
        weeks.setdefault((date.fromisoformat(day["day"]) - begin).days // WEEK, []).append(day)
    found = []
    for number, members in sorted(weeks.items()):
        entry: dict[str, Any] = {
            "first": (begin + timedelta(days=number * WEEK)).isoformat(),
            "rows": sum(day["labelled"] for day in members),
            "champion": members[-1]["champion"],
        }
        for metric in LIVE:
            known = [(day[metric], day["labelled"]) for day in members if day.get(metric) is not None]
            total = sum(count for _, count in known)
            entry[metric] = sum(value * count for value, count in known) / total if total else None
        found.append(entry)
    return found


def _low(policy: Mapping[str, Any]) -> float:
    return _bound(policy, "low", -np.inf)


def _high(policy: Mapping[str, Any]) -> float:
    return _bound(policy, "high", np.inf)


def _bound(policy: Mapping[str, Any], side: str, unknown: float) -> float:
    found = policy["against"][DECIDING][side] if policy["against"] is not None else None
    return unknown if found is None else found


def _told_apart(comparison: Mapping[str, Any] | None) -> bool:
    return comparison is not None and comparison["low"] is not None and comparison["low"] > 0


def _iso(day: int) -> str:
    return str(np.datetime64(int(day), "D"))


def _listed(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _times(count: int) -> str:
    return "one training" if count == 1 else f"{count} trainings"
