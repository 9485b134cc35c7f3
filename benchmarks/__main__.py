"""`make bench`: every benchmark, side by side in one run, as ratios of medians; results under benchmarks/results/.

A benchmark is a module with `measure() -> list[Figure]`. Name some to run only those: `python -m benchmarks ingest`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path

from benchmarks.figure import Figure, table
from mtac_assets.spec import clock

MODULES = (
    "ingest",
    "features",
    "mix",
    "training",
    "evaluation",
    "orchestration",
    "provenance",
    "backup",
    "ledger",
    "promotion",
    "reproduction",
    "line",
    "quality",
    "monitoring",
    "monitoring_triggers",
    "landing",
    "gate",
    "replay",
    "language",
)
BY_NAME_ONLY = ("gpu", "deploy")
"""Want what not every machine has: a GPU; PostgreSQL and nginx."""
RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str | int]:
    """What the figures were measured on, without names of hosts or paths."""
    names = {
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    return {
        "cpu": ", ".join(sorted(names)) or platform.machine(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def main(names: list[str]) -> int:
    # What is measured keeps compiled modules, as anywhere: a variable of this shell is no part of it.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    unknown = sorted(set(names) - {*MODULES, *BY_NAME_ONLY})
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(MODULES)}", file=sys.stderr)
        return 2
    figures: dict[str, list[Figure]] = {}
    for name in names or MODULES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures[name] = importlib.import_module(f"benchmarks.{name}").measure()
        print(table(figures[name]), flush=True)
    now = clock.now()
    document = {
        "schema_version": 1,
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": {name: [figure.document() for figure in measured] for name, measured in figures.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    for name, measured in figures.items():
        if not measured:
            continue
        stem = f"{now:%Y-%m-%d}-{name}"
        page = {**document, "figures": {name: document["figures"][name]}}
        (RESULTS / f"{stem}.json").write_text(json.dumps(page, indent=2) + "\n")
        words = ", ".join(f"{key} {value}" for key, value in machine().items())
        (RESULTS / f"{stem}.md").write_text(f"# {name}, {now:%Y-%m-%d}\n\n{words}\n\n{table(measured)}\n")
    missed = [figure.name for measured in figures.values() for figure in measured if figure.met is False]
    print(f"\n{len(missed)} targets missed{': ' + ', '.join(missed) if missed else ''}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
