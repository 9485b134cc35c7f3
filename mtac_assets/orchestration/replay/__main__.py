"""`python -m mtac_assets.orchestration.replay ORDER.json`: play one policy, in its checkout, from where it stands to the last day.

Standard output has one JSON object a line, `{"day", "says"}`; all else goes to standard error. Exit codes as everywhere: 2 for
findings, which go into the order's `errors`.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from mtac_assets.evaluation import launch as evaluation
from mtac_assets.monitoring import launch as monitoring
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.errors import MtacError
from mtac_assets.training import launch as training
from mtac_assets.training.nursery import nursery

# Beside what a child wants while it waits for a run: what every child of a replay loads at its start.
ALWAYS = (
    "pydantic",
    "ruamel.yaml",
    "numpy",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "fsspec",
    "scipy.special",
)
CHILDREN = {each.MODULE: (*each.LIBRARIES, *ALWAYS) for each in (training, evaluation, monitoring)}


def main(arguments: list[str] | None = None) -> int:
    order = read_json(Path((arguments if arguments is not None else sys.argv[1:])[0]))
    try:
        _play(order)
    except MtacError as error:
        findings = [finding.document() for finding in error.findings]
        write_json(Path(order["errors"]), {"schema_version": 1, "errors": findings})
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def _play(order: dict[str, Any]) -> None:
    from mtac_assets.orchestration.instance import instance
    from mtac_assets.orchestration.replay.account import Played, account
    from mtac_assets.orchestration.replay.landing import Landing
    from mtac_assets.orchestration.replay.library import Library
    from mtac_assets.orchestration.replay.player import Player
    from mtac_assets.orchestration.replay.storage import storages
    from mtac_assets.orchestration.repository import load_repository
    from mtac_assets.spec.project import find_project

    project, recipe = find_project(), order["recipe"]
    first, last = date.fromisoformat(order["first"]), date.fromisoformat(order["last"])
    library = Library(Path(order["library"]))
    landings = tuple(Landing.of(each) for each in order["landings"])
    with instance(project, storages(project.state.dagster.absolute())) as opened, nursery(CHILDREN) as children:
        player = Player(
            project,
            opened,
            load_repository(project),
            recipe,
            landings,
            library,
            Path(order["position"]),
            _tell,
            children,
        )
        player.play(first, last)
        played = Played(project, opened, recipe, landings, first, last, library)
        account(played, player.position.seconds, Path(order["account"]).parent)


def _tell(day: date, says: str) -> None:
    print(json.dumps({"day": day.isoformat(), "says": says}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
