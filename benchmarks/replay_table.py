"""The table of a replay for `benchmarks/results/` and the README: `python -m benchmarks.replay_table REPLAY.json`.

Writes `<date>-replay-policies.md` with the table and what it says, and a short `.json` of the same figures beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.__main__ import RESULTS, machine
from mtac_assets.spec import clock

KEPT = ("name", "about", "trainings_count", "promotions", "refusals", "alarms_count", "cpu_seconds", "live", "against")


def markdown(document: Mapping[str, Any]) -> str:
    """One line a policy."""
    reference = document["reference"]
    lines = [
        f"| policy | trainings | promoted | refused | alarms | CPU s | live log loss | live ROC AUC | gain against {reference} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for policy in document["policies"]:
        live = [_value(policy["live"][metric]) for metric in ("log_loss", "roc_auc")]
        cpu = "unknown" if policy["cpu_seconds"] is None else f"{policy['cpu_seconds']:.0f}"
        counts = [policy[name] for name in ("trainings_count", "promotions", "refusals", "alarms_count")]
        gain = _gain(policy["against"]["log_loss"]) if policy["against"] else ""
        told = ["–" if count is None else str(count) for count in counts]  # alarms, where nothing watched
        lines.append("| " + " | ".join([policy["name"], *told, cpu, *live, gain]) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    document = json.loads(Path(arguments[0]).read_text())
    compared = document["compared"]
    words = ", ".join(f"{key} {value}" for key, value in machine().items())
    span = f"{document['recipe']}, {document['first']} to {document['last']}; compared on {compared['rows']:,} rows of {compared['days']} days"
    stem = f"{clock.now():%Y-%m-%d}-replay-policies"
    text = f"# {stem[11:]}, {stem[:10]}\n\n{words}\n\n{span}\n\n{markdown(document)}\n\n{document['says']}\n"
    (RESULTS / f"{stem}.md").write_text(text)
    kept = {name: document[name] for name in ("schema_version", "recipe", "first", "last", "compared", "says", "code")}
    kept["policies"] = [{name: policy[name] for name in KEPT} for policy in document["policies"]]
    (RESULTS / f"{stem}.json").write_text(json.dumps(kept, indent=2) + "\n")
    print(text)
    return 0


def _value(metric: Mapping[str, Any] | None) -> str:
    return "none" if metric is None or metric["value"] is None else f"{metric['value']:.4f}"


def _gain(comparison: Mapping[str, Any]) -> str:
    if comparison["low"] is None:
        return "not known"
    return f"{comparison['effect']:+.4f} ({comparison['low']:+.4f} to {comparison['high']:+.4f})"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
