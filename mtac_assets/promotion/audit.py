"""Auditing the cache: results that a run would take as they are, made again and compared.

Belongs here: drawing the sample, making the drawn results anew in a state of their own, comparing digests. What is a hit is
the plan's to say. The results that are there are only read.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance import plan as planning
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.keys import derived_keys, language_keys
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import STATE_VARIABLE
from mtac_assets.training.launch import failure, start, train, trainer_command

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

RUN_ID = "audit"
SCORES = "all.json"


@dataclass(frozen=True)
class Hit:
    """A result that is there, with the digest of its content."""

    asset: str
    partition: str
    digest: str


@dataclass(frozen=True)
class Audited:
    """A hit that was made again. `again`: the digest that came out."""

    hit: Hit
    again: str

    @property
    def same(self) -> bool:
        return self.hit.digest == self.again

    def document(self) -> dict[str, Any]:
        return {**vars(self.hit), "again": self.again, "same": self.same}


@dataclass(frozen=True)
class Audit:
    """`hits`: how many there were to draw from, by `seed`."""

    hits: int
    seed: int
    audited: tuple[Audited, ...]

    @property
    def different(self) -> tuple[Audited, ...]:
        return tuple(one for one in self.audited if not one.same)

    def document(self) -> dict[str, Any]:
        return {"hits": self.hits, "seed": self.seed, "audited": [one.document() for one in self.audited]}


def audit(
    project: Project,
    resolved: ResolvedRecipe,
    count: int,
    *,
    seed: int | None = None,
    echo: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Make `count` of the intact results behind the model of `resolved` again, drawn by `seed` (recorded), and compare.

    Results are its days of features (of texts: scores and tokeniser), its training set and the model itself; partitions are not made but read, and `verify`
    hashes them. Raises PromotionError where fewer than `count` are there; what the trainer says where it fails.
    """
    hits = find_hits(project, resolved)
    if count > len(hits):
        raise PromotionError(
            Finding(
                f"{count} results are to be audited, and {len(hits)} are there",
                "--audit-cache",
                f"at most {len(hits)}",
                "ask for fewer, or run the recipe first",
            )
        )
    drawn_by = seed if seed is not None else random.SystemRandom().randrange(2**32)
    drawn = random.Random(drawn_by).sample(hits, count)
    with tempfile.TemporaryDirectory(prefix="mtac-audit-") as folder:
        audited = tuple(
            Audited(hit, digest) for hit, digest in _made_again(project, resolved, drawn, Path(folder), echo)
        )
    return Audit(len(hits), drawn_by, audited)


def find_hits(project: Project, resolved: ResolvedRecipe) -> list[Hit]:
    """The stored results behind the model that a run of `resolved` would take as they are."""
    wanted = derived_keys(project, resolved)
    found: list[Hit] = []
    windows = resolved.windows()
    for day in dict.fromkeys((*windows.train, *windows.validate)):
        key = wanted.features.get(day)
        document = read_object(project.state.features / resolved.name / f"{day}.json")
        if key is not None and document is not None and document.get("key") == key:
            found.append(Hit(f"{resolved.name}/features", day, document["content_digest"]))
    if resolved.is_language:
        found += _of_texts(project, resolved)
    if wanted.training_set is not None:
        document = read_object(project.state.training_sets / wanted.training_set[:12] / "manifest.json")
        if document is not None and document.get("key") == wanted.training_set:
            found.append(Hit(f"{resolved.name}/training_set", _as_of(resolved), document["digest"]))
    planned = planning.plan(project, resolved)
    if planned.model_id is not None and not any(step.asset.endswith("/model") for step in planned.steps):
        digests = read_json(project.state.models / planned.model_id / "digests.json")
        found.append(Hit(f"{resolved.name}/model", _as_of(resolved), digests["weights_digest"]))
    return found


def _of_texts(project: Project, resolved: ResolvedRecipe) -> list[Hit]:
    """The scores of each dataset, and the tokeniser."""
    keys, found = language_keys(project, resolved), list[Hit]()
    for dataset, key in keys.scores.items():
        document = read_object(project.state.scores / dataset / SCORES)
        if document is not None and document.get("key") == key:
            found.append(Hit(f"{resolved.name}/scores", dataset, document["file_sha256"]))
    if keys.tokenizer is not None:
        document = read_object(project.state.tokenizers / keys.tokenizer[:12] / "manifest.json")
        if document is not None and document.get("key") == keys.tokenizer:
            found.append(Hit(f"{resolved.name}/tokenizer", "", document["tokenizer"]["digest"]))
    return found


def _made_again(
    project: Project, resolved: ResolvedRecipe, drawn: Sequence[Hit], scratch: Path, echo: Callable[[str], None]
) -> list[tuple[Hit, str]]:
    """Everything before the training, and the model where it was drawn, made in the state `scratch`: each hit with its new digest."""
    environment = {STATE_VARIABLE: str(scratch)}
    echo(f"making {len(drawn)} results again in a state of their own")
    out = scratch / "models" / RUN_ID
    out.parent.mkdir(parents=True)
    command = trainer_command(project, resolved, out, RUN_ID, "--prepare")
    child = start(command, project.root, {**os.environ, **environment, "APP_ENV": project.environment.name})
    if (code := child.wait()) != 0:
        raise failure(out, RUN_ID, code)
    weights = ""
    if any(hit.asset.endswith("/model") for hit in drawn):
        echo("training the model again")
        weights = train(project, resolved, out, RUN_ID, environment_variables=environment).weights_digest

    def again(hit: Hit) -> str:
        if hit.asset.endswith("/model"):
            return weights
        if hit.asset.endswith("/features"):
            return read_json(scratch / "features" / resolved.name / f"{hit.partition}.json")["content_digest"]
        if hit.asset.endswith("/scores"):
            return read_json(scratch / "scores" / hit.partition / SCORES)["file_sha256"]
        if hit.asset.endswith("/tokenizer"):
            (manifest,) = (scratch / "tokenizers").glob("*/manifest.json")
            return read_json(manifest)["tokenizer"]["digest"]
        (manifest,) = (scratch / "training_sets").glob("*/manifest.json")
        return read_json(manifest)["digest"]

    return [(hit, again(hit)) for hit in drawn]


def _as_of(resolved: ResolvedRecipe) -> str:
    return resolved.as_of.isoformat() if resolved.as_of is not None else ""
