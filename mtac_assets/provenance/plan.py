"""The plan: what would run to bring one model up to date, and which leaf is the reason. Reads files and runs nothing.

Belongs here: comparing what is declared now with what lies in the state. Must answer in a fraction of a second, so nothing
heavy is imported, and every file that was verified before costs one `stat`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import partitions
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import FileState
from mtac_assets.provenance.git import MODELS, has_reference
from mtac_assets.provenance.identity import Change, Declaration, UndeclarableError, compare, declare
from mtac_assets.provenance.intact import PACK_LIST, REPORT_LIST, folder_problems, pack_problems
from mtac_assets.provenance.keys import derived_keys, language_keys, report_key
from mtac_assets.provenance.memory import Memory

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 1
_NAMED = 3  # leaves and days named in a reason; the changes hold all of them

_DATA = "data."
MODELS_REMEMBERED = 512


@dataclass(frozen=True)
class Step:
    """One thing that would run. `asset` is its name in Dagster, with slashes; `changes` are the leaves that made it stale."""

    asset: str
    partitions: tuple[str, ...]
    reason: str
    changes: tuple[Change, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "asset": self.asset,
            "partitions": list(self.partitions),
            "reason": self.reason,
            "changes": [change.document() for change in self.changes],
        }


@dataclass(frozen=True)
class Plan:
    """`model_id` is None while data that the model needs is missing, for then it has no identity yet."""

    steps: tuple[Step, ...]
    model_id: str | None
    declaration: Declaration | None = None

    @property
    def up_to_date(self) -> bool:
        return not self.steps

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "up_to_date": self.up_to_date,
            "model_id": self.model_id,
            "steps": [step.document() for step in self.steps],
        }


def plan(project: Project, resolved: ResolvedRecipe) -> Plan:
    """What would run for `resolved`, in order. An empty plan means that an intact model with its report is there.

    An intact model needs neither its features nor its training set again, so these are asked for only where it must be
    trained or judged anew.
    """
    name = resolved.name
    ingest, known = _ingest_steps(project, resolved)
    try:
        declaration = declare(project, resolved, known=known)
    except UndeclarableError:
        steps = [*ingest, *_derived_steps(project, resolved), _model_step(resolved, "its data is not there yet")]
        return Plan((*steps, _report_step(resolved, "the model is trained anew")), None)
    model_id = declaration.model_id(name)
    pack = project.state.models / model_id
    problems = pack_problems(pack, project.state.cache / "packs.json")
    stale_report = _report_reason(project, resolved, model_id) if not problems else "the model is trained anew"
    if not problems and not ingest and stale_report is None:
        return Plan((), model_id, declaration)
    steps = [*ingest]
    if problems or stale_report is not None:
        steps += _derived_steps(project, resolved, only_features=not problems)
    if problems:
        reason, changes = _model_reason(project, resolved, declaration, pack, problems)
        steps.append(_model_step(resolved, reason, changes))
    if stale_report is not None:
        steps.append(_report_step(resolved, stale_report))
    return Plan(tuple(steps), model_id, declaration)


def _ingest_steps(project: Project, resolved: ResolvedRecipe) -> tuple[list[Step], partitions.Known]:
    """Partitions that are missing, not stamped under the contract in force, or whose source changed; and what is there."""
    steps: list[Step] = []
    digests: dict[str, str] = {}
    needed = partitions.needed(project, resolved)
    for dataset, keys in needed.everything.items():
        present = partitions.digests_and_contracts(project.state.data, dataset, keys, project.state.cache)
        contract = contract_in_force(project, dataset)
        missing: list[str] = []
        unstamped: list[str] = []
        stamped: dict[str, str] = {}
        for key in keys:
            found = present.get(f"{dataset}/{key}")
            if found is None:
                missing.append(key)
                continue
            digests[f"{dataset}/{key}"] = found[0]
            if found[1] == contract:
                stamped[key] = found[0]
            else:
                unstamped.append(key)
        changed = _changed_sources(project, dataset, stamped)
        reasons = [f"{_days(missing)} not there yet"] if missing else []
        reasons += [f"{_days(unstamped)} without a stamp of the contract in force"] if unstamped else []
        reasons += [f"{_named(changed)}: {'its' if len(changed) == 1 else 'their'} source changed"] if changed else []
        if reasons:
            wanted = {*missing, *unstamped, *changed}
            steps.append(Step(dataset, tuple(key for key in keys if key in wanted), "; ".join(reasons)))
    return steps, partitions.Known(needed, digests)


def _changed_sources(project: Project, dataset: str, contents: Mapping[str, str]) -> tuple[str, ...]:
    from mtac_assets.data.source_changes import changed_sources

    return changed_sources(project, dataset, contents) if contents else ()


def contract_in_force(project: Project, dataset: str) -> str:
    """Digest of the dataset's contract as it is written now; remembered while the files of its folder are unchanged."""
    folder = project.datasets()[dataset].parent
    memory = Memory(project.state.cache / "contracts.json")
    states = [FileState.of(path) for path in sorted((*folder.glob("*.py"), *folder.glob("*.yaml")))]
    kept = memory.get(str(folder), *states)
    if kept is None:
        from mtac_assets.data.contract.source import contract_digest
        from mtac_assets.spec.load import load_dataset

        kept = contract_digest(load_dataset(project, dataset), folder)
        memory.put(str(folder), *states, value=kept)
        memory.save()
    return kept


def _derived_steps(project: Project, resolved: ResolvedRecipe, only_features: bool = False) -> list[Step]:
    """Features that are missing or were computed from something else, and the training set."""
    if resolved.is_language:
        return _language_steps(project, resolved)
    name = resolved.name
    wanted = derived_keys(project, resolved)
    days = resolved.windows().features
    stored = {day: _stored_key(project.state.features / name / f"{day}.json") for day in days}
    absent = tuple(day for day in days if stored[day] is None)
    stale = tuple(day for day in days if stored[day] is not None and stored[day] != wanted.features.get(day))
    steps: list[Step] = []
    if absent or stale:
        reasons = [f"{_days(absent)} not computed yet"] if absent else []
        reasons += [f"{_days(stale)} computed from other rows, code or columns"] if stale else []
        steps.append(
            Step(f"{name}/features", tuple(day for day in days if day in {*absent, *stale}), "; ".join(reasons))
        )
    if only_features:
        return steps
    key = wanted.training_set
    if key is None or _stored_key(project.state.training_sets / key[:12] / "manifest.json") != key:
        reason = "its features change" if steps else "not built yet for these features"
        steps.append(Step(f"{name}/training_set", _model_partition(resolved), reason))
    return steps


def _language_steps(project: Project, resolved: ResolvedRecipe) -> list[Step]:
    """Scores, tokeniser and training set of a recipe of texts. Its report needs them too: the held-out texts are in the set."""
    name, state = resolved.name, project.state
    keys = language_keys(project, resolved)
    wanted = {dataset: keys.scores.get(dataset) for dataset in partitions.needed(project, resolved).training}
    stale = [
        dataset
        for dataset, key in wanted.items()
        if key is None or _stored_key(state.scores / dataset / f"{partitions.ALL}.json") != key
    ]
    steps = (
        [Step(f"{name}/scores", (), f"{', '.join(stale)}: not scored yet, or other texts or scorer")] if stale else []
    )
    for asset, folder, key, reason in (
        ("tokenizer", state.tokenizers, keys.tokenizer, "not trained yet on these texts"),
        ("training_set", state.training_sets, keys.training_set, "not built yet for this mix"),
    ):
        if key is None or _stored_key(folder / key[:12] / "manifest.json") != key:
            steps.append(Step(f"{name}/{asset}", (), reason))
    # What is stored under an intact training set was used for it; nothing has to be made for its own sake.
    return steps if steps and steps[-1].asset == f"{name}/training_set" else []


def _model_reason(
    project: Project, resolved: ResolvedRecipe, declaration: Declaration, pack: Path, problems: Sequence[str]
) -> tuple[str, tuple[Change, ...]]:
    if pack.is_dir():
        return f"its pack is not intact: {'; '.join(problems)}", ()
    known = known_models(project, resolved.name)
    if not known:
        return f"no model of {resolved.name} was trained yet", ()
    leaves = declaration.leaves()
    as_of = leaves.get("recipe.as_of")
    same_date = [model for model in known if model.leaves.get("recipe.as_of") == as_of]
    if not same_date:
        return "no model was trained as of this date yet", ()
    previous = max(same_date, key=lambda model: model.order)
    changes = tuple(compare(previous.leaves, leaves))
    return f"since {previous.model_id}: {summarise(changes)}", changes


def summarise(changes: Sequence[Change]) -> str:
    """Changed leaves in a sentence: the first few by name, recipe fields with old and new value."""
    shown = [_shown(change) for change in changes[:_NAMED]]
    more = len(changes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _shown(change: Change) -> str:
    kind = change.leaf.partition(".")[0]
    if change.old is None:
        return f"{change.leaf} is new"
    if change.new is None:
        return f"{change.leaf} is gone"
    return (
        f"{change.leaf} {change.old} → {change.new}" if kind in {"recipe", "environment"} else f"{change.leaf} changed"
    )


def since_newest(project: Project, recipe: str, declaration: Declaration) -> str | None:
    """Which leaves differ from the recipe's newest model, whatever its as-of date, in a sentence; None where there is none."""
    known = known_models(project, recipe)
    if not known:
        return None
    newest = max(known, key=lambda model: (model.as_of, model.order))
    return f"since {newest.model_id}: {summarise(compare(newest.leaves, declaration.leaves()))}"


@dataclass(frozen=True)
class KnownModel:
    """A model that lies in the state: its leaves, and a number that grows with the moment of its completion."""

    model_id: str
    leaves: Mapping[str, str]
    order: int

    @cached_property
    def data(self) -> Mapping[str, str]:
        """`<dataset>/<key>` to the content digest that the model was trained on."""
        return {leaf.removeprefix(_DATA): digest for leaf, digest in self.leaves.items() if leaf.startswith(_DATA)}

    @property
    def as_of(self) -> str:
        """The as-of date; empty where the recipe has none."""
        return json.loads(self.leaves["recipe.as_of"]) or ""


def known_models(project: Project, recipe: str) -> list[KnownModel]:
    """Models of the recipe that lie in the state, with their leaves, in the order in which they were completed."""
    found: list[KnownModel] = []
    for path in project.state.models.glob(f"{recipe}-*/declaration.json"):
        state = FileState.find(path)
        known = _known_model(path, state) if state is not None else None
        if known is not None and known.leaves.get("recipe.name") == f'"{recipe}"':
            found.append(known)
    return found


@lru_cache(maxsize=MODELS_REMEMBERED)
def _known_model(path: Path, state: FileState) -> KnownModel | None:
    """The model of one declaration, which is written once. Most of its thousand leaves are those of the other models, and kept once."""
    document = read_object(path)
    if document is None:
        return None
    leaves = {intern(leaf): intern(value) for leaf, value in document["leaves"].items()}
    return KnownModel(path.parent.name, leaves, state.mtime_ns)


def trained_before(project: Project, recipe: str, declaration: Declaration) -> bool:
    """Whether a model of the recipe lies in the state that the same code made in the same environment, whatever its data."""
    decides = ("code.", "environment.")
    mine = {leaf: value for leaf, value in declaration.leaves().items() if leaf.startswith(decides)}
    return any(
        mine == {leaf: value for leaf, value in known.leaves.items() if leaf.startswith(decides)}
        and (project.state.models / known.model_id / PACK_LIST).is_file()
        for known in known_models(project, recipe)
    )


def _report_reason(project: Project, resolved: ResolvedRecipe, model_id: str) -> str | None:
    """Why the model must be judged again or recorded; None where its report is there, of the rows that are there, in a commit."""
    reason = _stale_report(project, resolved, model_id)
    if reason is None and has_reference(project.root, MODELS + model_id) is False:
        return f"the model is not recorded as {MODELS}{model_id}"
    return reason


def report_current(project: Project, resolved: ResolvedRecipe, model_id: str) -> bool:
    """Whether the model's report is there, intact, and made from the rows, code and settings that are there now."""
    return _stale_report(project, resolved, model_id) is None


def _stale_report(project: Project, resolved: ResolvedRecipe, model_id: str) -> str | None:
    folder = project.state.reports / model_id
    if not (folder / "report.json").is_file():
        return "the model was not judged yet"
    problems = folder_problems(folder, REPORT_LIST, project.state.cache / "reports.json")
    if problems:
        return f"its report is not intact: {'; '.join(problems)}"
    report = read_object(folder / "report.json")
    if report is None or report.get("key") != report_key(project, resolved, model_id):
        return "test rows, evaluation code or the recipe's evaluation changed"
    return None


def _model_step(resolved: ResolvedRecipe, reason: str, changes: tuple[Change, ...] = ()) -> Step:
    return Step(f"{resolved.name}/model", _model_partition(resolved), reason, changes)


def _report_step(resolved: ResolvedRecipe, reason: str) -> Step:
    return Step(f"{resolved.name}/report", _model_partition(resolved), reason)


def _model_partition(resolved: ResolvedRecipe) -> tuple[str, ...]:
    return (resolved.as_of.isoformat(),) if resolved.as_of is not None else ()


def _stored_key(path: Path) -> str | None:
    document = read_object(path)
    return None if document is None else document.get("key")


def _days(keys: Sequence[str]) -> str:
    return f"{_named(keys)} {'is' if len(keys) == 1 else 'are'}"


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= _NAMED else f"{len(keys)} partitions ({keys[0]} to {keys[-1]})"
