"""Versions of partitions in DVC: one pointer a partition, pushed to the remote and verified there; and back again.

DVC's remotes and its push run in this process, on a project of its own in the state folder. Its command line would write under
the user's home, and its `add` takes 20 ms a file (7 s of CPU for a year of days): pointers and cache objects are written here
instead, byte for byte as `dvc add` does, so that `dvc status`, `dvc pull` and a checkout work as ever. A remote that is a folder
needs no DVC either (`versioning_folder`). A pull is done here too: DVC's own removes an object from the remote when what arrives
is damaged.
DVC knows objects by MD5; what counts is the SHA-256 of the manifest, checked on the remote after a push and before anything
enters the cache in a pull. Does not belong here: single objects of models (see `provenance.store`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mtac_assets.data import versioning_folder
from mtac_assets.data.ingest_write import sync_together
from mtac_assets.data.partitions import Manifest, PartitionError, partition_path, pointer_path, read_manifest, verify
from mtac_assets.data.versioning_folder import PROTECTED, place
from mtac_assets.data.versioning_project import DvcFailure, configure, open_project, run_quietly
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import AtomicBatch, atomic_path, read_json, write_json
from mtac_assets.provenance.store import Pointer, Store, StoreError, md5_file, public_url, remote_url
from mtac_assets.provenance.turns import turn
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding, MtacError, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
_BLOCK = 1 << 20
_TRANSFERS = 8
Read = Callable[[Pointer], BinaryIO]


class VersioningError(MtacError):
    """A partition could not be versioned, or an object of the remote is missing or damaged."""


@dataclass(frozen=True)
class VersionResult:
    """Partitions that were added and pushed now, and those whose version was on the remote already."""

    dataset: str
    pushed: tuple[str, ...]
    unchanged: tuple[str, ...]


def version(project: Project, dataset: Dataset | str, keys: Sequence[str]) -> VersionResult:
    """Add partitions `keys` to DVC, push them, and read them back from the remote against the manifests' SHA-256.

    Nothing is done, and DVC not even imported, for partitions whose pointer is right and whose object was verified before.
    Raises PartitionError where a partition is missing or damaged here, VersioningError where the remote does not take it.
    """
    name = dataset if isinstance(dataset, str) else dataset.name
    manifests = [read_manifest(project.state.data, name, key) for key in dict.fromkeys(keys)]
    with _alone(project):
        pushed = _Pushed(project, name)
        wanted = [manifest for manifest in manifests if not _is_versioned(project, manifest, pushed)]
        if wanted:
            findings = [finding for manifest in wanted for finding in _damage(project.state.data, manifest)]
            raise_all(PartitionError, findings)
            _add_and_push(project, wanted)
            pushed.remember(wanted)
    fresh = {manifest.key for manifest in wanted}
    unchanged = tuple(manifest.key for manifest in manifests if manifest.key not in fresh)
    return VersionResult(name, tuple(manifest.key for manifest in wanted), unchanged)


def verify_remote(project: Project, dataset: str, keys: Sequence[str]) -> tuple[Finding, ...]:
    """What is wrong with the remote's objects of `keys`: each is read in full against its manifest's SHA-256."""
    manifests = [read_manifest(project.state.data, dataset, key) for key in keys]
    with _remote(project) as read:
        return tuple(_remote_problems(project, read, manifests))


def pull(project: Project, data_dir: Path, pointers: Iterable[Path], remote: str | None = None) -> tuple[Path, ...]:
    """Bring the partitions of `pointers` (`.parquet.dvc` files in `data_dir`, their manifests beside them) from the remote.

    All are verified against their manifests before the first appears in `data_dir`. VersioningError names each file whose
    object is missing or damaged; then nothing appears, and no damaged object stays in the cache. `remote` is another remote
    to fetch from. Returns the files that were brought; those already there and right are left alone.
    """
    wanted: list[tuple[Path, Pointer, Manifest]] = []
    findings: list[Finding] = []
    for path in pointers:
        try:
            pointer = Pointer.parse(path.read_bytes(), str(path))
            manifest = read_manifest(data_dir, path.parent.name, path.name.removesuffix(".parquet.dvc"))
        except FileNotFoundError:
            findings.append(Finding("the pointer does not exist", str(path), "a .dvc file", "restore it from Git"))
            continue
        except (StoreError, PartitionError) as error:
            findings += error.findings
            continue
        if _damage(data_dir, manifest):
            wanted.append((partition_path(data_dir, manifest.dataset, manifest.key), pointer, manifest))
    raise_all(VersioningError, findings)
    if wanted:
        with _alone(project):
            _fetch(project, wanted, remote)
    return tuple(path for path, _, _ in wanted)


def _fetch(project: Project, wanted: Sequence[tuple[Path, Pointer, Manifest]], remote: str | None) -> None:
    cache = _cache(project)
    absent = [(pointer, manifest) for _, pointer, manifest in wanted if not _sound(place(cache, pointer), manifest)]
    address = public_url(remote or remote_url(project))
    if absent:
        with open_project(project, remote) as repository:
            odb = repository.cloud.get_remote_odb("default")
            with ThreadPoolExecutor(_TRANSFERS) as pool:
                brought = pool.map(lambda pair: _bring(odb, cache, *pair), absent)
                findings = [
                    Finding(
                        f"{manifest.dataset}/{pointer.name} cannot be pulled: {error}",
                        f"{address}/files/md5/{_place(pointer)}",
                        f"{manifest.file_size} bytes with SHA-256 {manifest.file_sha256[:12]}…",
                        "push the partition again from where it is whole, or ingest the day here",
                    )
                    for (pointer, manifest), error in zip(absent, brought, strict=True)
                    if error is not None
                ]
        raise_all(VersioningError, findings)
    with AtomicBatch() as batch:
        copies = [batch.path(path) for path, _, _ in wanted]
        for copy, (_, pointer, _) in zip(copies, wanted, strict=True):
            shutil.copyfile(place(cache, pointer), copy)
        sync_together(copies)


def _bring(odb: Any, cache: Path, pointer: Pointer, manifest: Manifest) -> str | None:
    """Copy one object from the remote into the cache, verified first; what is wrong with it, or None."""
    found = place(cache, pointer)
    found.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(found) as temporary:
            odb.fs.get_file(odb.oid_to_path(pointer.md5), str(temporary))
            if temporary.stat().st_size != manifest.file_size or sha256_file(temporary) != manifest.file_sha256:
                raise _Damaged
            temporary.chmod(PROTECTED)
    except FileNotFoundError:
        return "its object is missing on the remote"
    except _Damaged:
        return "its object on the remote is damaged"
    except OSError as error:
        return f"its object cannot be read: {error.strerror or error}"
    return None


class _Damaged(Exception):
    """What was brought is not what the manifest vouches for."""


def _sound(found: Path, manifest: Manifest) -> bool:
    """Whether a cached object is the manifest's file; one that is not is removed, so that it poisons nothing."""
    if not found.exists():
        return False
    if found.stat().st_size == manifest.file_size and sha256_file(found) == manifest.file_sha256:
        return True
    found.unlink()
    return False


def _add_and_push(project: Project, manifests: Sequence[Manifest]) -> None:
    _add(project, manifests)
    folder = Store.of(project).folder
    if folder is not None:
        _put(project, folder, manifests)
    else:
        _push(project, manifests)
    with _remote(project) as read:
        raise_all(VersioningError, _remote_problems(project, read, manifests))


def _put(project: Project, folder: Path, manifests: Sequence[Manifest]) -> None:
    configure(project)  # for whoever uses DVC by hand
    data_dir = project.state.data
    files = [(partition_path(data_dir, each.dataset, each.key), _pointer(data_dir, each)) for each in manifests]
    try:
        versioning_folder.put(folder, files)
    except OSError as error:
        raise _cannot_push(project, manifests, error.strerror or str(error)) from error


def _push(project: Project, manifests: Sequence[Manifest]) -> None:
    with open_project(project) as repository:
        try:
            hashes = _hashes(_pointer(project.state.data, each) for each in manifests)
            result = run_quietly(repository.cloud.push, hashes)
        except DvcFailure as error:
            raise _cannot_push(project, manifests, str(error)) from None
    failed = {entry.value for entry in result.failed}
    refused = [each for each in manifests if _pointer(project.state.data, each).md5 in failed]
    raise_all(VersioningError, [_not_on_remote(project, each, "it was not taken") for each in refused])


def _cannot_push(project: Project, manifests: Sequence[Manifest], why: str) -> VersioningError:
    return VersioningError(
        Finding(
            f"the remote cannot be written: {why}",
            f"{manifests[0].dataset} to {public_url(remote_url(project))}",
            "a remote that can be written to",
            "see data.remote in the environment's file and the credentials; the partitions here are whole",
        )
    )


@contextmanager
def _remote(project: Project) -> Iterator[Read]:
    """How to read an object of the remote in force: it raises FileNotFoundError where there is none."""
    folder = Store.of(project).folder
    if folder is not None:
        yield lambda pointer: versioning_folder.read(folder, pointer)
        return
    with open_project(project) as repository:
        odb = repository.cloud.get_remote_odb("default")
        yield lambda pointer: odb.fs.open(odb.oid_to_path(pointer.md5), "rb")


def _add(project: Project, manifests: Sequence[Manifest]) -> None:
    """What `dvc add` does: an object in the cache, named by its MD5 and protected, and a pointer beside the file."""
    data_dir, cache = project.state.data, _cache(project)
    with AtomicBatch() as batch:
        written: list[Path] = []
        for manifest in manifests:
            path = partition_path(data_dir, manifest.dataset, manifest.key)
            pointer = Pointer(md5_file(path), manifest.file_size, path.name)
            if not _sound(place(cache, pointer), manifest):
                copy = batch.path(place(cache, pointer))
                shutil.copyfile(path, copy)
                copy.chmod(PROTECTED)
                written.append(copy)
            document = pointer_path(data_dir, manifest.dataset, manifest.key)
            if not document.exists() or document.read_bytes() != pointer.document():
                note = batch.path(document)
                note.write_bytes(pointer.document())
                written.append(note)
        sync_together(written)


def _remote_problems(project: Project, read: Read, manifests: Sequence[Manifest]) -> Iterator[Finding]:
    for manifest in manifests:
        digest = hashlib.sha256()
        try:
            with read(_pointer(project.state.data, manifest)) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        except FileNotFoundError:
            yield _not_on_remote(project, manifest, "it is missing")
            continue
        if digest.hexdigest() != manifest.file_sha256:
            yield _not_on_remote(project, manifest, "it is damaged")


def _not_on_remote(project: Project, manifest: Manifest, error: str) -> Finding:
    pointer = _pointer(project.state.data, manifest)
    return Finding(
        f"{manifest.dataset}/{manifest.key}.parquet is not on the remote: {error}",
        f"{public_url(remote_url(project))}/files/md5/{_place(pointer)}",
        f"{manifest.file_size} bytes with SHA-256 {manifest.file_sha256[:12]}…",
        "remove the object if it is there, and version the day again",
    )


def _is_versioned(project: Project, manifest: Manifest, pushed: _Pushed) -> bool:
    """Whether the pointer is that of the partition, and its object was verified on the remote in force."""
    path = partition_path(project.state.data, manifest.dataset, manifest.key)
    try:
        pointer = _pointer(project.state.data, manifest)
        if pointer.size != manifest.file_size or md5_file(path) != pointer.md5:
            return False
    except (FileNotFoundError, StoreError):
        return False
    store = Store(remote_url(project))
    return pushed.has(manifest) and (store.folder is None or store.has(pointer))


def _pointer(data_dir: Path, manifest: Manifest) -> Pointer:
    path = pointer_path(data_dir, manifest.dataset, manifest.key)
    return Pointer.parse(path.read_bytes(), str(path))


def _damage(data_dir: Path, manifest: Manifest) -> tuple[Finding, ...]:
    try:
        verify(data_dir, manifest)
    except PartitionError as error:
        return error.findings
    return ()


def _hashes(pointers: Iterable[Pointer]) -> list[Any]:
    from dvc_data.hashfile.hash_info import HashInfo

    return [HashInfo("md5", pointer.md5) for pointer in pointers]


def _cache(project: Project) -> Path:
    return project.state.root / ".dvc" / "cache" / "files" / "md5"


def _place(pointer: Pointer) -> str:
    return f"{pointer.md5[:2]}/{pointer.md5[2:]}"


class _Pushed:
    """Which contents were verified on which remote; only a shortcut, without it they are pushed and verified again."""

    def __init__(self, project: Project, dataset: str) -> None:
        self._path = project.state.cache / f"pushed-{dataset}.json"
        self._remote = public_url(remote_url(project))
        self._entries: dict[str, str] = {}
        try:
            document = read_json(self._path)
        except (FileNotFoundError, ValueError):
            document = None
        if isinstance(document, dict) and document.get("schema_version") == SCHEMA_VERSION:
            self._entries = document["partitions"] if document["remote"] == self._remote else {}

    def has(self, manifest: Manifest) -> bool:
        return self._entries.get(manifest.key) == manifest.file_sha256

    def remember(self, manifests: Iterable[Manifest]) -> None:
        self._entries |= {manifest.key: manifest.file_sha256 for manifest in manifests}
        document = {"schema_version": SCHEMA_VERSION, "remote": self._remote, "partitions": self._entries}
        write_json(self._path, document)


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """DVC refuses a second user of its project; here the second one waits."""
    with turn(project.state.locks / "dvc.lock"):
        yield
