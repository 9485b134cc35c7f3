"""A whole replay: surroundings for each policy, the processes that play them, and the document of what came out."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.orchestration.replay.landing import Landing, gather
from mtac_assets.orchestration.replay.policies import Policy
from mtac_assets.orchestration.replay.surroundings import AHEAD, make_checkout, run_in, source_of
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import read_json, write_atomic, write_json
from mtac_assets.provenance.turns import turn
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe

if TYPE_CHECKING:
    from mtac_assets.orchestration.replay.surroundings import Source
    from mtac_assets.spec.project import Project

Echo = Callable[[str], None]
PLAYER = "mtac_assets.orchestration.replay"


@dataclass(frozen=True)
class Stage:
    """What all policies of a replay share. `folder`: where it all lies; the same question finds the same folder again."""

    project: Project
    recipe: str
    first: date
    last: date
    folder: Path
    source: Source
    landings: tuple[Landing, ...]


def set_stage(project: Project, recipe: str, first: date, last: date, policies: Sequence[Policy]) -> Stage:
    """Check all that can be checked before anything is played, and put the files ready. Raises MtacError with every finding."""
    checked = check_recipe(project, recipe)
    if checked.window is None:
        raise MtacError(
            Finding(
                f"{recipe} has no time, so no days can be played", "window", "a recipe with a window", "replay another"
            )
        )
    if last < first:
        raise MtacError(Finding(f"--to {last} lies before --from {first}", "--to", f"{first} or later", "swap the two"))
    triggers = checked.triggers.model_dump(mode="json")
    for policy in policies:
        check_recipe(project, recipe, policy.overrides(triggers))
    rows = load_dataset(project, checked.data.rows).partitions
    assert rows.kind == "daily", "spec refuses a window over rows without days"
    resolved = load_recipe(project, recipe, as_of=rows.start + timedelta(days=checked.window.train_days))
    source = source_of(project, resolved)
    replays = project.state.replays
    question = [recipe, first.isoformat(), last.isoformat(), source.tree]
    folder = replays / f"{recipe}-{first}-{last}-{digest_json(question)[:8]}"
    names = (checked.data.rows, *checked.data.lookups)
    landings = tuple(gather(project, load_dataset(project, name), last, folder / "waiting" / name) for name in names)
    return Stage(project, checked.name, first, last, folder, source, landings)


def play_all(stage: Stage, policies: Sequence[Policy], echo: Echo) -> None:
    """Play each policy to its end, or on from where it was interrupted, and write its account. Those with a schedule come first, one
    after the other: each keeps all cores busy. The others then take over what they have trained, a policy a core.

    Raises MtacError with the findings of the first that fails; the others are ended then, and go on where they were next time.
    """
    ahead = [policy for policy in policies if _scheduled(stage, policy)]
    rest = [policy for policy in policies if policy not in ahead]
    cores = os.cpu_count() or 1
    processes = _Processes()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for policy in ahead:
                _play(stage, policy, echo, processes, forerunner=cores > 1)
            playing = [pool.submit(_play, stage, policy, echo, processes, forerunner=False) for policy in rest]
            for done in as_completed(playing):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            processes.end()


class _Processes:
    """The processes of one replay, each with a session of its own. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: list[subprocess.Popen[str]] = []
        self._ended = False

    def start(self, root: Path, arguments: Sequence[str], log: Path, replays: Path) -> subprocess.Popen[str]:
        """As `run_in`. Raises CancelledError after `end`."""
        with self._lock:
            if self._ended:
                raise CancelledError
            process = run_in(root, arguments, log, replays)
            self._started.append(process)
            return process

    def end(self) -> None:
        """End all that was started, and start nothing any more."""
        with self._lock:
            self._ended = True
            _end(self._started)


def _scheduled(stage: Stage, policy: Policy) -> bool:
    """Whether the calendar says when this policy trains."""
    triggers = check_recipe(stage.project, stage.recipe).triggers.model_dump(mode="json")
    return check_recipe(stage.project, stage.recipe, policy.overrides(triggers)).triggers.schedule is not None


def _play(stage: Stage, policy: Policy, echo: Echo, processes: _Processes, *, forerunner: bool) -> None:
    place = stage.folder / "policies" / policy.name
    order = {
        "schema_version": 1,
        "recipe": stage.recipe,
        "first": stage.first.isoformat(),
        "last": stage.last.isoformat(),
        "landings": [landing.document() for landing in stage.landings],
        "library": str(stage.project.state.replays / "library"),
        "position": str(place / "position.json"),
        "account": str(place / "account.json"),
        "errors": str(place / "errors.json"),
    }
    known = read_object(place / "policy.json")
    if known is not None and known["digest"] != _digest(policy):
        raise MtacError(
            Finding(
                f"another policy was played as {policy.name} on these days",
                str(place),
                "one name for one policy",
                "give this one another name, or remove that folder",
            )
        )
    position = read_object(place / "position.json")
    if position is not None and position["day"] == order["last"] and (place / "account.json").is_file():
        echo(f"{policy.name}: played already")
        return
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place):
        _begin(stage, policy, place, order, echo, processes, forerunner=forerunner)


def _begin(
    stage: Stage,
    policy: Policy,
    place: Path,
    order: Mapping[str, Any],
    echo: Echo,
    processes: _Processes,
    *,
    forerunner: bool,
) -> None:
    write_json(place / "policy.json", {"schema_version": 1, "digest": _digest(policy), **policy.document()})

    def checkout(name: str) -> Path:
        return make_checkout(stage.project, stage.source, stage.recipe, policy, stage.landings, place / name)

    root = checkout("checkout")
    write_json(place / "order.json", order)
    (place / "errors.json").unlink(missing_ok=True)
    command, replays = [PLAYER, str(place / "order.json")], stage.project.state.replays
    child = processes.start(root, command, place / "log.txt", replays)
    started = [child]
    try:
        if forerunner:
            started.append(processes.start(checkout("ahead"), [*command, AHEAD], place / "ahead.txt", replays))
        assert child.stdout is not None
        for line in child.stdout:
            said = json.loads(line)
            if said["says"] or said["day"].endswith("-01"):
                echo(f"{policy.name}  {said['day']}  {said['says']}".rstrip())
        code = child.wait()
    finally:
        _end(started)
    if code != 0:
        raise _failure(place, code)


def _end(started: Sequence[subprocess.Popen[str]]) -> None:
    """End these processes with all that they have started; those that have ended already are only waited for."""
    for each in started:
        assert each.stdin is not None
        each.stdin.close()
    for each in started:
        each.wait()


def _digest(policy: Policy) -> str:
    return digest_json([policy.sets, policy.keeps])


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process plays a policy at a time. Raises MtacError where another does."""
    with turn(place / "player.lock", 0.0) as ours:
        if not ours:
            raise MtacError(
                Finding(
                    f"{place.name} is being played by another process", str(place), "one at a time", "wait for its end"
                )
            )
        yield


def document_of(stage: Stage, policies: Sequence[Policy]) -> dict[str, Any]:
    """The document of policies that were played to their end: `evaluation.replayed.replay_document` of their accounts."""
    import pyarrow.parquet as pq

    from mtac_assets.evaluation.replayed import Served, replay_document

    played: list[Any] = []
    for policy in policies:
        place = stage.folder / "policies" / policy.name
        rows = pq.read_table(place / "scores.parquet")
        served = Served(*(rows[name].to_numpy() for name in ("day", "label", "score")))
        played.append((policy.document(), read_json(place / "account.json"), served))
    bootstrap = check_recipe(stage.project, stage.recipe).evaluation.bootstrap
    return replay_document(stage.recipe, played, bootstrap) | {"code": stage.source.head, "tree": stage.source.tree}


def write(document: Mapping[str, Any], out: Path) -> tuple[Path, Path]:
    """Write `replay.json` and `replay.html` into the folder `out`; their paths."""
    from mtac_assets.evaluation.replay_page import replay_page

    out.mkdir(parents=True, exist_ok=True)
    data, page = out / "replay.json", out / "replay.html"
    write_json(data, document)
    write_atomic(page, replay_page(document).encode())
    return data, page


def _failure(place: Path, code: int) -> MtacError:
    document = read_object(place / "errors.json")
    if document is not None:
        return MtacError(*(Finding(**entry) for entry in document["errors"]))
    return MtacError(
        Finding(
            f"the player of {place.name} ended with code {code} and said no more",
            str(place / "log.txt"),
            "0",
            "see the last lines of its log; the same command goes on where it was",
        )
    )
