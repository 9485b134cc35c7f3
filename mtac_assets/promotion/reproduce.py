"""Reproduction: train a model a second time from its commit alone, and compare the weights tensor by tensor.

Verdicts: `identical`, `different` (with the first step and tensor that differ, and by how much) or `impossible` (why).
Whatever the verdict, it goes into the ledger with its evidence.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mtac_assets.promotion import divergence, rebuild
from mtac_assets.promotion.clean_room import CleanRoom, clean_room, fill
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.promotion.trainer import Trainer, trainer
from mtac_assets.provenance import environment, ledger, refs
from mtac_assets.provenance.chain import broken_links
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.identity import Change, compare
from mtac_assets.provenance.ledger import Entry
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec.errors import Finding, MtacError, raise_all
from mtac_assets.spec.project import Project
from mtac_assets.training import nursery

Verdict = Literal["identical", "different", "impossible"]
Segments = Literal["whole", "all"] | int
REPRODUCTION = "reproduction"


@dataclass(frozen=True)
class Request:
    """How to rebuild. `segments`: the training as one run (`whole`), each segment from its start checkpoint (`all`), or
    that many at random by `seed`. `workers`: segments at a time. `allow_environment`: rebuild although the environment
    differs. `install`: in a virtual environment made from the model's own lock."""

    segments: Segments = "whole"
    workers: int = 1
    seed: int | None = None
    allow_environment: bool = False
    install: bool = False


def parse_segments(text: str) -> Segments:
    """`whole`, `all` or a number from 1, as a person writes it."""
    if text == "whole":
        return "whole"
    if text == "all":
        return "all"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise MtacError(
        Finding(f"{text!r} names no segments", "segments", "`whole`, `all` or a number from 1", "try `all`")
    )


@dataclass(frozen=True)
class Reproduction:
    """The verdict, its evidence as the ledger keeps it, and the ledger's entry."""

    model_id: str
    verdict: Verdict
    evidence: Mapping[str, Any]
    entry: Entry

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "model_id": self.model_id,
            **self.evidence,
            "ledger": {"sequence": self.entry.sequence, "commit": self.entry.commit},
        }


def reproduce(
    project: Project,
    prefix: str,
    request: Request,
    *,
    actor: str,
    reason: str = "",
    echo: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Rebuild the model that `prefix` names, compare, and record the verdict. Raises UnknownModelError.

    An identical model that is no champion yet becomes a challenger: only what was rebuilt may challenge.
    """
    summary = refs.find_model(project, refs.resolve_id(project, prefix))
    began, before = time.monotonic(), Usage.so_far(0.0)
    seed = request.seed if request.seed is not None else random.SystemRandom().randrange(2**32)
    evidence: dict[str, Any] = {
        "verdict": "impossible",
        "commit": summary.commit,
        "segments": request.segments,
        "workers": request.workers,
        "seed": seed,
        "installed": request.install,
        "environment_differences": [],
        "observed_differences": [],
        "weights": {"recorded": summary.weights_digest, "rebuilt": None},
    }
    forked = Usage()
    try:
        # Within a nursery trainings are forks, and rebuilds start from nothing: a verdict always compares one with the other.
        fork = not request.install and nursery.opened() is None
        with clean_room(project, summary) as room, trainer(room, fork=fork) as own:
            try:
                fill(room, pack=request.segments != "whole")
                evidence |= _rebuild(project, own, summary, request, seed, echo)
            finally:
                forked = own.forks_used
    except MtacError as error:
        evidence["why"] = [finding.document() for finding in error.findings]
    evidence["seconds"] = round(time.monotonic() - began, 3)
    evidence["usage"] = Usage.so_far(evidence["seconds"]).since(before).then(forked).document()
    return record_reproduction(project, summary, evidence, actor, reason)


def _rebuild(
    project: Project,
    own: Trainer,
    summary: ModelSummary,
    request: Request,
    seed: int,
    echo: Callable[[str], None],
) -> dict[str, Any]:
    room = own.room
    if request.segments != "whole":
        _require_chain(room)
    if request.install:
        rebuild.require_python(room, allow_another=request.allow_environment)
        echo("installing the model's own environment")
        own = own.by(rebuild.install(room, project.root))
    echo(f"commit {summary.commit[:12]} laid out, data pulled and verified; building its training set")
    prepared = rebuild.prepare(own)
    declared = read_json(room.model / "declaration.json")["leaves"]
    changes = compare(declared, prepared.declaration["leaves"])
    found: dict[str, Any] = {
        "environment_differences": [change.document() for change in changes if change.leaf.startswith("environment.")],
        "observed_differences": [change.document() for change in _other_machine(room)],
    }
    _require_same(changes, request.allow_environment)
    if request.segments == "whole":
        echo("training from the first step to the last")
        rebuilt = rebuild.train_whole(own, prepared)
        return found | _compare_whole(room, summary, rebuilt)
    numbers = _chosen(room, request.segments, seed)
    echo(f"replaying {len(numbers)} segments, {request.workers} at a time")
    replayed = rebuild.replay_segments(own, prepared, numbers, request.workers)
    return found | _compare_segments(
        room, summary, replayed, lambda number, folder: rebuild.replay_and_keep(own, prepared, number, folder)
    )


def _require_chain(room: CleanRoom) -> None:
    """Segments that are no chain would each be replayed to their own digests, and together be no training."""
    steps = len(read_json(room.model / "losses.json")["losses"])
    problems = broken_links(read_json(room.model / "digests.json"), steps)
    raise_all(
        PromotionError,
        [
            Finding(
                problem,
                f"{room.model.name}/digests.json",
                "segments that each start where the one before ended, from the first step to the last",
                "the record was forged or damaged: fetch the model again; `--segments whole` trains it from the first step",
            )
            for problem in problems
        ],
    )


def _require_same(changes: Sequence[Change], allow_environment: bool) -> None:
    """Only the environment may differ, and only if that was asked for; all differences are named."""
    refused = [change for change in changes if not (allow_environment and change.leaf.startswith("environment."))]
    if refused:
        raise PromotionError(
            *(
                Finding(
                    f"{change.leaf} is {change.new or 'missing'} here",
                    "the clean room, against the model's declaration",
                    change.old or "nothing of that name",
                    "`--install` builds the model's own environment; `--allow-environment` rebuilds in this one"
                    if change.leaf.startswith("environment.")
                    else "the commit does not hold what was trained; it cannot be rebuilt",
                )
                for change in refused
            )
        )


def _other_machine(room: CleanRoom) -> list[Change]:
    """Processor, kernel and C library that differ from where the model was trained: told, and refused by nobody."""
    recorded = read_json(room.model / "environment.json")["observed"]
    return compare(environment.machine(recorded), environment.machine(environment.observed()))


def _chosen(room: CleanRoom, segments: Segments, seed: int) -> list[int]:
    count = len(read_json(room.model / "digests.json")["segments"])
    if segments == "all":
        return list(range(count))
    assert isinstance(segments, int)
    if segments > count:
        raise PromotionError(
            Finding(f"{segments} segments are asked for", "--segments", f"at most {count}, or `all`", "ask for fewer")
        )
    return sorted(random.Random(seed).sample(range(count), segments))


def _compare_whole(room: CleanRoom, summary: ModelSummary, rebuilt: Mapping[str, Any]) -> dict[str, Any]:
    recorded = read_json(room.model / "digests.json")
    tensors = _differing(recorded["tensors"], rebuilt["tensors"])
    found: dict[str, Any] = {
        "weights": {"recorded": recorded["weights_digest"], "rebuilt": rebuilt["weights_digest"]},
        "tensors": {"compared": len(recorded["tensors"]), "different": tensors},
    }
    if recorded["weights_digest"] == rebuilt["weights_digest"] == summary.weights_digest and not tensors:
        return found | {"verdict": "identical"}
    return found | {"verdict": "different", "first_difference": divergence.locate(room, recorded, rebuilt)}


def _compare_segments(
    room: CleanRoom,
    summary: ModelSummary,
    replayed: Mapping[int, Mapping[str, Any]],
    replay_and_keep: Callable[[int, Path], None],
) -> dict[str, Any]:
    """Each segment by its two digests, the last one by the model that it ends in. That they chain was asked before."""
    recorded = read_json(room.model / "digests.json")
    different: list[dict[str, Any]] = []
    for number, answer in sorted(replayed.items()):
        segment = recorded["segments"][number]
        if (answer["start_digest"], answer["end_digest"]) != (segment["start_digest"], segment["end_digest"]):
            different.append({"segment": number, "start_step": answer["start_step"], "end_step": answer["end_step"]})
    last = len(recorded["segments"]) - 1
    rebuilt = replayed[last]["weights_digest"] if last in replayed else None
    found: dict[str, Any] = {
        "segment_numbers": sorted(replayed),
        "segments_different": different,
        "weights": {"recorded": recorded["weights_digest"], "rebuilt": rebuilt},
    }
    if not different and rebuilt in (None, summary.weights_digest):
        return found | {"verdict": "identical"}
    return found | {
        "verdict": "different",
        "first_difference": divergence.locate_in_segment(room, recorded, replayed, different, replay_and_keep),
    }


def _differing(recorded: Mapping[str, str], rebuilt: Mapping[str, str]) -> list[str]:
    return sorted(name for name in recorded.keys() | rebuilt.keys() if recorded.get(name) != rebuilt.get(name))


def record_reproduction(
    project: Project, summary: ModelSummary, evidence: Mapping[str, Any], actor: str, reason: str
) -> Reproduction:
    """Write a verdict with its evidence into the ledger; a model that came out identical becomes a challenger."""
    here = project.environment.name
    verdict: Verdict = evidence["verdict"]
    entry = ledger.append(
        project,
        here,
        kind=REPRODUCTION,
        recipe=summary.recipe,
        model_id=summary.model_id,
        actor=actor,
        reason=reason,
        evidence=evidence,
    )
    statuses = ledger.statuses(ledger.history(project, here, summary.recipe))
    if verdict == "identical" and statuses.get(summary.model_id) is None:
        ledger.append(
            project,
            here,
            kind="challenger",
            recipe=summary.recipe,
            model_id=summary.model_id,
            actor=actor,
            reason="rebuilt from its commit, bit for bit",
            evidence={"reproduction": entry.sequence},
        )
    return Reproduction(summary.model_id, verdict, evidence, entry)


def newest_reproduction(entries: Sequence[Entry], model_id: str) -> dict[str, Any] | None:
    """The evidence of the newest reproduction of a model, None where it was never rebuilt."""
    for entry in reversed(entries):
        if entry.kind == REPRODUCTION and entry.model_id == model_id:
            return {**entry.evidence, "sequence": entry.sequence, "at": entry.at}
    return None
