"""Recording: a trained model becomes a commit of its own, written with plumbing.

Belongs here: what the commit's tree holds beside the code, and when a recording is refused. Where objects go is `store`'s
matter, how trees are written `git`'s and `snapshot`'s, the names and reading back `refs`', a dataset's history `record_data`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import closure, ledger, partitions, refs
from mtac_assets.provenance.digest import canonical_json, sha256_bytes
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.identity import compare, fingerprint_of
from mtac_assets.provenance.image import image
from mtac_assets.provenance.intact import PACK_LIST, REPORT_LIST, listed_files, pack_problems
from mtac_assets.provenance.memory import Memory
from mtac_assets.provenance.snapshot import Snapshot, private_index, take_snapshot
from mtac_assets.provenance.store import Store, dvc_config, pointer_to
from mtac_assets.provenance.usage import Usage, model_cost
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

_IN_GIT_LIMIT = 1 << 20  # larger files, and all that are no JSON, go to the store


class RecordError(MtacError):
    """The model cannot be recorded so that its commit would rebuild it."""


def record_model(
    project: Project,
    resolved: ResolvedRecipe,
    pack_folder: Path,
    report_folder: Path | None,
    *,
    trigger: str = "person",
    actor: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> str:
    """Write the model's commit on `refs/mtac/models/<Model ID>` and its large files to the store; the commit's id.

    The same model with the same report again is a no-op. A new report of the same weights is a further commit on the same
    reference. Raises RecordError where the pack is damaged, the code has changed since training, or the same fingerprint is
    recorded with other weights; GitError where there is no repository.
    """
    repository = Repository.at(project.root)
    memory = Memory(project.state.cache / "objects.json")
    declaration, weights = _read_pack(pack_folder, project)
    model_id = f"{resolved.name}-{declaration['fingerprint'][:12]}"
    report = read_object(report_folder / "report.json") if report_folder is not None else None
    report_digest = sha256_bytes(canonical_json(report)) if report is not None else None
    earlier = _recorded(repository, model_id)
    if earlier is not None:
        if earlier.weights_digest != weights:
            raise RecordError(
                Finding(
                    "the same fingerprint gave other weights",
                    refs.MODELS + model_id,
                    f"weights {earlier.weights_digest[:12]}…, found {weights[:12]}…",
                    "something that moves bits is not declared; `mtac reproduce` says where the two first differ",
                )
            )
        if earlier.report_digest == report_digest:
            return earlier.commit
    code = closure.closure_of_recipe(project, resolved)
    _refuse_changed_code(declaration["leaves"], code.leaves, model_id)
    store = Store.of(project)
    files = _model_files(project, resolved, pack_folder, report_folder, declaration["leaves"], store, memory)
    with private_index(repository) as index:
        snapshot = take_snapshot(repository, code.files, index)
        tree, folder = _add(repository, snapshot, index, files, dvc_config(store.url))
    memory.save()
    summary = refs.ModelSummary(
        model_id=model_id,
        recipe=resolved.name,
        as_of=resolved.as_of.isoformat() if resolved.as_of is not None else None,
        fingerprint=declaration["fingerprint"],
        weights_digest=weights,
        metrics=report["metrics"] if report is not None else {},
        created_at=clock.timestamp(),
        trigger=trigger,
        actor=actor,
        evidence=dict(evidence or {}),
        dirty=snapshot.dirty,
        code=snapshot.head,
        branch=snapshot.branch,
        report_digest=report_digest,
        folder=folder,
        cost=_cost(project, pack_folder, report_folder, report),
        ledger=_ledger_heads(repository),
        image=built.document() if (built := image()) is not None else None,
    )
    parents = [each for each in (snapshot.head, earlier.commit if earlier else None) if each is not None]
    as_of = f" as of {summary.as_of}" if summary.as_of else ""
    commit = repository.commit(tree, parents, f"{model_id}: {resolved.name}{as_of}\n\n{summary.line()}\n")
    repository.move(refs.MODELS + model_id, commit, earlier.commit if earlier else None)
    return commit


def _read_pack(pack: Path, project: Project) -> tuple[dict[str, Any], str]:
    problems = pack_problems(pack, project.state.cache / "packs.json")
    declaration = read_object(pack / "declaration.json")
    digests = read_object(pack / "digests.json")
    if declaration is None or digests is None:
        problems = problems or ["declaration.json or digests.json is missing"]
    elif fingerprint_of(declaration["leaves"]) != declaration["fingerprint"]:
        problems.append("declaration.json was edited: its leaves do not give its fingerprint")
    if problems or declaration is None or digests is None:
        raise RecordError(
            *(Finding(problem, str(pack), "a complete pack", "train the model again") for problem in problems)
        )
    return declaration, digests["weights_digest"]


def _cost(project: Project, pack: Path, report_folder: Path | None, report: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the model has used, as its trainer and its evaluation wrote down; what keeping it takes; by today's prices."""
    documents = {"training": read_object(pack / "training.json"), "evaluation": report}
    parts = {
        name: Usage.read(document["usage"]) if document is not None and "usage" in document else None
        for name, document in documents.items()
    }
    folders = [folder for folder in (pack, report_folder) if folder is not None]
    stored = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    return model_cost(parts, stored, project.environment.accounting)


def _recorded(repository: Repository, model_id: str) -> refs.ModelSummary | None:
    if repository.resolve(refs.MODELS + model_id) is None:
        return None
    return refs.find_model(repository, model_id)


def _refuse_changed_code(declared: Mapping[str, str], now: Mapping[str, str], model_id: str) -> None:
    """A commit of code that is not the code that trained would rebuild another model."""
    then = {name: value for name, value in declared.items() if name.startswith("code.")}
    changes = compare(then, now)
    if changes:
        names = ", ".join(change.leaf.removeprefix("code.") for change in changes[:5])
        raise RecordError(
            Finding(
                f"the code has changed since {model_id} was trained: {names}",
                "the working tree",
                "the code that trained",
                "train again, or bring that code back",
            )
        )


def _model_files(
    project: Project,
    resolved: ResolvedRecipe,
    pack: Path,
    report: Path | None,
    leaves: Mapping[str, str],
    store: Store,
    memory: Memory,
) -> dict[str, bytes]:
    """Path below `model/` to content: documents as they are, everything large as a pointer whose object is in the store."""
    files: dict[str, bytes] = {"requirements.txt": _requirements(leaves)}
    for base, folder, listing in (("", pack, PACK_LIST), ("report/", report, REPORT_LIST)):
        if folder is None:
            continue
        # What the folder vouches for, and no lease, log or usage of the attempts: two models differ in what they are.
        for name in sorted({listing, *listed_files(read_object(folder / listing) or {})}):
            files.update(_kept(f"{base}{name}", folder / name, store, memory))
    ignored: list[str] = []
    for dataset, keys in partitions.needed(project, resolved).everything.items():
        folder = project.state.data / dataset
        for key in keys:
            parquet = folder / f"{key}.parquet"
            if not parquet.is_file():
                continue  # a test day that has not come yet
            files.update(_pointer(f"data/{dataset}/{key}.parquet", parquet, store, memory))
            for suffix in (".json", ".stamp.json"):
                beside = folder / f"{key}{suffix}"
                if beside.is_file():
                    files[f"data/{dataset}/{beside.name}"] = beside.read_bytes()
        ignored.append(f"/data/{dataset}/*.parquet")
    ignored += [
        f"/{name.removesuffix('.dvc')}" for name in files if name.endswith(".dvc") and not name.startswith("data/")
    ]
    files[".gitignore"] = "".join(f"{line}\n" for line in sorted(ignored)).encode()
    return files


def _kept(name: str, path: Path, store: Store, memory: Memory) -> dict[str, bytes]:
    if path.suffix == ".json" and path.stat().st_size <= _IN_GIT_LIMIT:
        return {name: path.read_bytes()}
    return _pointer(name, path, store, memory)


def _pointer(name: str, path: Path, store: Store, memory: Memory) -> dict[str, bytes]:
    pointer = pointer_to(path, memory)
    store.put(path, pointer)
    return {f"{name}.dvc": pointer.document()}


def _requirements(leaves: Mapping[str, str]) -> bytes:
    """The distributions of the declared environment as a lock that pip reads."""
    prefix = "environment.package."
    lines = [
        f"{name.removeprefix(prefix)}=={value}\n"
        for name, value in leaves.items()
        if name.startswith(prefix) and value != "absent"
    ]
    return "".join(lines).encode()


def _add(
    repository: Repository, snapshot: Snapshot, index: Mapping[str, str], files: Mapping[str, bytes], config: bytes
) -> tuple[str, str]:
    """The code tree with `model/` beside the project's files, and with DVC's configuration; the tree and the folder's path."""
    folder = f"{repository.prefix}model/"
    own = repository.read([f"{snapshot.tree}:{repository.prefix}.dvc/config"]).popitem()[1] is not None
    # A project that has a DVC configuration of its own keeps it; the model's then lies one folder deeper.
    place = f"{folder}.dvc/" if own else f"{repository.prefix}.dvc/"
    named = {f"{place}config": config, f"{place}.gitignore": b"/config.local\n/tmp\n/cache\n"}
    named |= {f"{folder}{name}": content for name, content in files.items()}
    blobs = repository.blobs(list(named.values()))
    lines = "".join(f"100644 {blob}\t{name}\0" for name, blob in zip(named, blobs, strict=True))
    repository.run("update-index", "-z", "--index-info", data=lines.encode("utf-8", "surrogateescape"), extra=index)
    return repository.text("write-tree", extra=index), folder


def _ledger_heads(repository: Repository) -> dict[str, dict[str, Any]]:
    """The head of each ledger, anchored in the model's commit: a ledger rewritten later no longer holds it."""
    heads: dict[str, dict[str, Any]] = {}
    for environment in ledger.environments(repository):
        entry = ledger.read_entry(repository, ledger.head(repository, environment))
        heads[environment] = {"sequence": entry.sequence, "digest": entry.digest}
    return heads
