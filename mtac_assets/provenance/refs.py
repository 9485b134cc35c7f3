"""Names under refs/mtac, and what is found under them: models, data and ledgers as commits.

Belongs here: reading. A model's commit carries a one-line JSON summary in its message, so listing thousands of models reads no
tree. Writing is `record`'s matter, the ledger `ledger`'s.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtac_assets.provenance import ledger
from mtac_assets.provenance.document import parse_object
from mtac_assets.provenance.git import MODELS, GitError, HasRoot, Repository, repository_of
from mtac_assets.spec.errors import Finding, MtacError

SCHEMA_VERSION = 1


class UnknownModelError(MtacError):
    """No model, or more than one, is meant by an ID."""


@dataclass(frozen=True)
class ModelSummary:
    """One model as its commit's message tells it. `status`: candidate, challenger, champion or archived, by the ledger."""

    model_id: str
    recipe: str
    as_of: str | None
    fingerprint: str
    weights_digest: str
    metrics: Mapping[str, Mapping[str, float | None]]
    created_at: str
    trigger: str
    actor: str
    dirty: bool
    code: str | None
    branch: str | None
    commit: str = ""
    status: str = "candidate"
    report_digest: str | None = None
    folder: str = "model/"
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what made the trigger fire
    cost: Mapping[str, Any] = field(default_factory=dict[str, Any])  # as usage.model_cost; empty in older records
    ledger: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    image: Mapping[str, str | None] | None = None  # commit, lock and digest of the image that trained; None outside one

    def document(self) -> dict[str, Any]:
        """As `mtac models --json` lists it."""
        return {
            "model_id": self.model_id,
            "recipe": self.recipe,
            "as_of": self.as_of,
            "status": self.status,
            "fingerprint": self.fingerprint,
            "weights_digest": self.weights_digest,
            "metrics": {name: dict(metric) for name, metric in self.metrics.items()},
            "created_at": self.created_at,
            "trigger": self.trigger,
            "actor": self.actor,
            "evidence": dict(self.evidence),
            "cost": dict(self.cost),
            "dirty": self.dirty,
            "code": self.code,
            "branch": self.branch,
            "image": dict(self.image) if self.image is not None else None,
            "commit": self.commit,
        }

    def line(self) -> str:
        """The summary as the commit's message carries it, one line of JSON."""
        document = self.document() | {"schema_version": SCHEMA_VERSION, "report_digest": self.report_digest}
        document |= {"folder": self.folder, "ledger": {name: dict(head) for name, head in self.ledger.items()}}
        for derived in ("commit", "status"):
            del document[derived]
        return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


_STORED = tuple(name for name in ModelSummary.__dataclass_fields__ if name not in {"commit", "status"})


def list_models(where: HasRoot, recipe: str | None = None, environment: str | None = None) -> list[ModelSummary]:
    """All recorded models (of one recipe), newest first. `environment`: whose ledger gives their status; the project's own
    where `where` is a project. One process for the references and one for the ledger, however many models there are."""
    repository = repository_of(where)
    statuses = _statuses(repository, where, environment)
    found = [
        summary for summary in _summaries(repository, MODELS, statuses) if recipe is None or summary.recipe == recipe
    ]
    return sorted(found, key=lambda summary: (summary.created_at, summary.model_id), reverse=True)


def summaries(where: HasRoot) -> list[ModelSummary]:
    """All recorded models by name, without their status: what the ledger is not asked for."""
    return list(_summaries(repository_of(where), MODELS, {}))


def find_model(where: HasRoot, model_id: str, statuses: Mapping[str, str] | None = None) -> ModelSummary:
    """One model by its full ID. Raises UnknownModelError where its reference is not there. `statuses`: by the project's ledger,
    where that was read already."""
    repository = repository_of(where)
    if statuses is None:
        statuses = _statuses(repository, where, None)
    for summary in _summaries(repository, MODELS + model_id, statuses):
        if summary.model_id == model_id:
            return summary
    raise _unknown(repository, model_id)


def resolve_id(where: HasRoot, prefix: str) -> str:
    """The Model ID that `prefix` means: an ID, the beginning of one, or the beginning of its twelve digits.

    Raises UnknownModelError, with the nearest IDs, where there is none; with the candidates where there are several.
    """
    repository = repository_of(where)
    if prefix and repository.resolve(MODELS + prefix) is not None:
        return prefix
    known = model_ids(repository)
    matching = [each for each in known if each.startswith(prefix) or each.rpartition("-")[2].startswith(prefix)]
    if len(matching) == 1 and prefix:
        return matching[0]
    if matching:
        shown = ", ".join(matching[:5]) + (f" and {len(matching) - 5} more" if len(matching) > 5 else "")
        raise UnknownModelError(
            Finding(
                f"`{prefix}` may be any of {len(matching)} models: {shown}",
                MODELS,
                "a unique beginning",
                "give more of the Model ID",
            )
        )
    raise _unknown(repository, prefix)


def model_ids(where: HasRoot) -> list[str]:
    """The IDs of all recorded models."""
    return repository_of(where).text("for-each-ref", "--format=%(refname:lstrip=3)", MODELS).split()


def model_files(where: HasRoot, model_id: str) -> dict[str, str]:
    """Path below `model/` to blob id, of everything that the model's commit holds beside the code."""
    repository = repository_of(where)
    folder = model_folder(repository, model_id)
    return {path.removeprefix(folder): blob for path, blob in repository.list_tree(MODELS + model_id, folder).items()}


def read_model_file(where: HasRoot, model_id: str, path: str, *, folder: str | None = None) -> bytes:
    """A file below `model/` of the model's commit. Raises GitError where there is none.

    `folder`: the summary's, where it is at hand; finding it looks through the references, a tenth of a second among ten thousand.
    """
    repository = repository_of(where)
    name = f"{MODELS}{model_id}:{model_folder(repository, model_id) if folder is None else folder}{path}"
    content = repository.read([name])[name]
    if content is None:
        raise GitError(
            Finding(f"{model_id} has no model/{path}", name, "a file of the model's commit", "record the model again")
        )
    return content


def model_folder(repository: Repository, model_id: str) -> str:
    """Where `model/` lies in the commit's tree: beside the project's files, wherever in the repository the project is."""
    for summary in _summaries(repository, MODELS + model_id, {}):
        if summary.model_id == model_id:
            return summary.folder
    raise _unknown(repository, model_id)


def _summaries(repository: Repository, pattern: str, statuses: Mapping[str, str]) -> Iterator[ModelSummary]:
    for batch in repository.records("for-each-ref", "--format=%(objectname) %(contents:body)%00", pattern):
        commits: list[str] = []
        lines: list[str] = []
        for entry in batch:
            commit, _, body = entry.decode("utf-8", "replace").strip().partition(" ")
            line = body.partition("\n")[0]
            if line.startswith("{"):  # a reference that somebody else put under this name is no model
                commits.append(commit)
                lines.append(line)
        for commit, document in zip(commits, _documents(lines), strict=True):
            if document is not None and "model_id" in document:
                fields = {name: document[name] for name in _STORED if name in document}
                yield ModelSummary(**fields, commit=commit, status=statuses.get(document["model_id"], "candidate"))


def _documents(lines: list[str]) -> list[dict[str, Any] | None]:
    """Each line's object; parsed at once where all are sound, which for thousands takes half the time."""
    try:
        return json.loads(f"[{','.join(lines)}]")
    except json.JSONDecodeError:
        return [parse_object(line) for line in lines]


def _statuses(repository: Repository, where: HasRoot, environment: str | None) -> dict[str, str]:
    """Model ID to status by the ledger of `environment`, or of the project's own where `where` is a project."""
    if not ledger.environments(repository):
        return {}  # before the first decision, the project's environment need not even be read
    name = environment or getattr(getattr(where, "environment", None), "name", None)
    return ledger.statuses(ledger.entries(repository, name)) if isinstance(name, str) else {}


def _unknown(repository: Repository, model_id: str) -> UnknownModelError:
    known = model_ids(repository)
    near = difflib.get_close_matches(model_id, known, n=3, cutoff=0.5)
    expected = (
        f"perhaps {', '.join(near)}" if near else f"one of {len(known)} models" if known else "no model is recorded yet"
    )
    return UnknownModelError(
        Finding(
            f"no model is called `{model_id}`",
            MODELS,
            expected,
            "`mtac models` lists them; `mtac fetch` brings those of the remote",
        )
    )
