"""The page of a replay: one self-contained HTML document from `replay.json`. No number is made up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mtac_assets.evaluation.page import render
from mtac_assets.evaluation.replay_charts import legend_key, loss_chart, timeline, tradeoff
from mtac_assets.evaluation.style import POLICY_LOOKS, Look

LIVE = (("log_loss", "live log loss (less is better)"), ("roc_auc", "live ROC AUC (more is better)"))
COSTS = (("trainings_count", "trainings"), ("cpu_seconds", "CPU seconds of training"))


def replay_page(document: Mapping[str, Any]) -> str:
    """The page; `document` as `replayed.replay_document` makes it."""
    policies = document["policies"]
    looks = looks_of([policy["name"] for policy in policies])
    first, last = date.fromisoformat(document["first"]), date.fromisoformat(document["last"])
    return render(
        "replay.html",
        document=document,
        policies=policies,
        keys={name: legend_key(look) for name, look in looks.items()},
        days=(last - first).days + 1,
        arrivals=policies[0]["arrivals"],
        losses=loss_chart(policies, looks),
        timeline=timeline(policies, looks, first, last),
        tradeoffs=[tradeoff(policies, looks, *metric, *cost) for metric in LIVE for cost in COSTS],
        sentence=_parts(document["says"]),
        refusals=[(policy["name"], _refusals(policy)) for policy in policies],
    )


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """A look for each policy, in their order; beyond the last they begin again."""
    return {name: POLICY_LOOKS[index % len(POLICY_LOOKS)] for index, name in enumerate(names)}


def _refusals(policy: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Gates and how many models each of them refused, the strictest first."""
    count: dict[str, int] = {}
    for decision in policy["decisions"]:
        for reason in decision["refused_by"]:
            gate = reason.partition(": ")[0]
            count[gate] = count.get(gate, 0) + 1
    return sorted(count.items(), key=lambda entry: (-entry[1], entry[0]))


def _parts(text: str) -> list[tuple[bool, str]]:
    """The sentence in parts; those in backticks are names."""
    return [(index % 2 == 1, part) for index, part in enumerate(text.split("`")) if part]
