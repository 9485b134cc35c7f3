"""Verification: is everything that a model stands on still what its commit says? Offline, every digest computed again.

Belongs here: holding a commit against its summary, its documents against one another, and its objects against their names. The
ledger is `ledger_check`'s matter; whether the model can be rebuilt is `promotion`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import refs
from mtac_assets.provenance.chain import broken_links, foreign_checkpoints
from mtac_assets.provenance.digest import canonical_json, sha256_bytes, sha256_file
from mtac_assets.provenance.document import parse_object
from mtac_assets.provenance.git import MODELS, Repository
from mtac_assets.provenance.identity import MODEL_ID_DIGITS, fingerprint_of, flatten
from mtac_assets.provenance.intact import REPORT_LIST, folder_problems, listed_files, pack_problems
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.provenance.store import Pointer, Store, StoreError
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.resolved import NOT_IDENTITY

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


def verify_model(project: Project, model_id: str) -> list[Finding]:
    """Everything that is wrong with one model: its commit, its documents, its objects in the store, its folders in the state.

    Raises UnknownModelError where there is no such model. Objects of a store that is no local folder are asked for by name
    and size only.
    """
    repository = Repository.at(project.root)
    summary = refs.find_model(repository, model_id)
    files, findings = _read_files(repository, summary)
    findings += [
        Finding(
            problem,
            f"{MODELS}{model_id}:{summary.folder}{path}",
            "what was recorded",
            "the commit was forged or damaged: fetch it again",
        )
        for path, problem in _inconsistent(summary, files)
    ]
    findings += _object_findings(Store.of(project), summary, files)
    findings += _state_findings(project, model_id)
    return findings


def verify_all(project: Project) -> dict[str, list[Finding]]:
    """Model ID to what is wrong with it, for every recorded model."""
    return {summary.model_id: verify_model(project, summary.model_id) for summary in refs.summaries(project)}


def _read_files(repository: Repository, summary: ModelSummary) -> tuple[dict[str, bytes], list[Finding]]:
    """Path below `model/` to content; each held against the id that Git knows it by."""
    tree = repository.list_tree(MODELS + summary.model_id, summary.folder)
    content = repository.read(tree.values())
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    for path, blob in tree.items():
        data = content[blob]
        if data is None or repository.object_id("blob", data) != blob:
            findings.append(
                Finding(
                    "the Git object is missing or damaged",
                    f"{blob} ({path})",
                    "content that gives its id",
                    "fetch the model again",
                )
            )
        else:
            files[path.removeprefix(summary.folder)] = data
    return files, findings


def _inconsistent(summary: ModelSummary, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Documents that do not agree with the summary or with one another."""
    documents = {path: parse_object(data) for path, data in files.items() if path.endswith(".json")}
    for path in ("declaration.json", "recipe.json", "digests.json"):
        if documents.get(path) is None:
            yield path, "is missing or no JSON"
    declaration, recipe, digests = (
        documents.get(f"{name}.json") or {} for name in ("declaration", "recipe", "digests")
    )
    leaves: dict[str, str] = declaration.get("leaves", {})
    if fingerprint_of(leaves) != summary.fingerprint or declaration.get("fingerprint") != summary.fingerprint:
        yield "declaration.json", "its leaves do not give the model's fingerprint"
    if summary.model_id != f"{summary.recipe}-{summary.fingerprint[:MODEL_ID_DIGITS]}":
        yield "declaration.json", "the Model ID is not of this recipe and fingerprint"
    for leaf in _changed_recipe_leaves(recipe, leaves):
        yield "recipe.json", f"{leaf} is not what was declared"
    if digests.get("weights_digest") != summary.weights_digest:
        yield "digests.json", "the weights digest is not the one of the commit's summary"
    losses = documents.get("losses.json")  # those of a long training lie in the store
    steps = len(losses["losses"]) if losses is not None else None
    for problem in (*broken_links(digests, steps), *foreign_checkpoints(digests, _states(documents))):
        yield "digests.json", problem
    report = documents.get("report/report.json")
    if summary.report_digest is not None and (
        report is None or sha256_bytes(canonical_json(report)) != summary.report_digest
    ):
        yield "report/report.json", "is not the report of the commit's summary"
    yield from _inconsistent_pack(documents.get("pack.json") or {}, files)
    yield from _inconsistent_data(documents, leaves)


def _states(documents: Mapping[str, dict[str, Any] | None]) -> dict[int, str]:
    """Step to the state's digest, of each checkpoint whose document lies in the commit."""
    found = (document for path, document in documents.items() if document and path.startswith("checkpoints/"))
    return {document["step"]: document["state_digest"] for document in found}


def _changed_recipe_leaves(recipe: Mapping[str, Any], leaves: Mapping[str, str]) -> list[str]:
    now = dict(flatten("recipe", {name: value for name, value in recipe.items() if name not in NOT_IDENTITY}))
    then = {name: value for name, value in leaves.items() if name.startswith(("recipe.", "recipe["))}
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def _inconsistent_pack(pack: Mapping[str, Any], files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for name, entry in listed_files(pack).items():
        if name in files and sha256_bytes(files[name]) != entry["sha256"]:
            yield name, "is not the file that the pack lists"
        elif name not in files and f"{name}.dvc" not in files:
            yield name, "is listed by the pack and missing"


def _inconsistent_data(
    documents: Mapping[str, dict[str, Any] | None], leaves: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for leaf, digest in leaves.items():
        if leaf.startswith("data."):
            path = f"data/{leaf.removeprefix('data.')}.json"
            manifest = documents.get(path)
            if manifest is None or manifest["content_digest"] != digest:
                yield path, "is missing or of another content than was declared"


def _object_findings(store: Store, summary: ModelSummary, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Objects that are missing, damaged, or not the files whose SHA-256 the pack and the manifests hold."""
    expected = _expected_sha256(files)
    for path, data in files.items():
        if not path.endswith(".dvc"):
            continue
        name = path.removesuffix(".dvc")
        try:
            pointer = Pointer.parse(data, path)
        except StoreError as error:
            yield from error.findings
            continue
        problem = store.problem(pointer)
        if problem is not None:
            yield from (
                Finding(f"{name}: {one.error}", one.where, one.expected, one.remedy) for one in problem.findings
            )
        elif name in expected and (stored := store.path(pointer)) is not None and sha256_file(stored) != expected[name]:
            yield Finding(
                f"{name}: its pointer stands for another file",
                f"{MODELS}{summary.model_id}",
                f"SHA-256 {expected[name]}",
                "fetch the model again",
            )


def _expected_sha256(files: Mapping[str, bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix, name in (("", "pack.json"), ("report/", f"report/{REPORT_LIST}")):
        listed = parse_object(files[name]) if name in files else None
        found |= {prefix + path: str(entry["sha256"]) for path, entry in listed_files(listed or {}).items()}
    for path in files:
        if path.startswith("data/") and path.endswith(".json") and not path.endswith(".stamp.json"):
            manifest = parse_object(files[path])
            if manifest is not None:
                found[f"{path.removesuffix('.json')}.parquet"] = manifest["file_sha256"]
    return found


def _state_findings(project: Project, model_id: str) -> list[Finding]:
    """The model's own folders, where this machine has them."""
    pack, report = project.state.models / model_id, project.state.reports / model_id
    problems = [(pack, problem) for problem in pack_problems(pack)] if pack.is_dir() else []
    if report.is_dir():
        problems += [(report, problem) for problem in folder_problems(report, REPORT_LIST)]
    return [
        Finding(
            problem,
            str(folder),
            "the files that were sealed",
            "remove the folder; `mtac run` or `mtac reproduce` makes it again",
        )
        for folder, problem in problems
    ]
