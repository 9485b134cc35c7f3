"""A clean room: a model's commit laid out in a folder of its own, then filled with its data from the store, verified.

Nothing of the working tree, the index or the state's derived files gets in; what is built in the room can come from the
commit and the store alone. The room lies in the state folder and is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.refs import ModelSummary
from mtac_assets.provenance.store import Pointer, Store, StoreError
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.spec.project import Project
from mtac_assets.training.launch import MODULE
from mtac_assets.training.nursery import forking

ROOMS = "rooms"
_FETCHES_AT_ONCE = 8


@dataclass(frozen=True)
class CleanRoom:
    """`root` is the project folder of the commit, `model` the commit's `model/`, `out` an empty place for results; whatever runs
    in it is ended after `limit_seconds`."""

    root: Path
    model: Path
    out: Path
    store: Store
    limit_seconds: int

    @property
    def data(self) -> Path:
        """Partitions, manifests and stamps, in the layout that the trainer's `--data` expects."""
        return self.model / "data"

    def bring(self, name: str) -> Path:
        """A file of the pack that was not pulled yet, such as `model.safetensors`. Raises PromotionError."""
        path = self.model / name
        if not path.exists():
            fetch(self.store, [path.with_name(f"{path.name}.dvc")])
        return path


@contextmanager
def clean_room(project: Project, summary: ModelSummary) -> Iterator[CleanRoom]:
    """Lay out the model's commit; what the store holds of it is brought by `fill`.

    Where this process forks trainers (a replay's does), each room takes the place of the one before: whoever has loaded the libraries
    for that place serves them all.
    """
    repository = Repository.at(project.root)
    rooms = project.state.runs / ROOMS
    rooms.mkdir(parents=True, exist_ok=True)
    if forking(MODULE) is None:
        folder = Path(tempfile.mkdtemp(prefix=f"{summary.model_id}-", dir=rooms))
    else:
        folder = rooms / "one-after-the-other"
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir()
    try:
        tree = folder / "tree"
        tree.mkdir()
        _check_out(repository, summary.commit, tree, folder / "index")
        model = tree / summary.folder
        yield CleanRoom(model.parent, model, folder / "out", Store.of(project), project.environment.limits.run_seconds)
    finally:
        shutil.rmtree(folder)


def fill(room: CleanRoom, *, pack: bool = False) -> None:
    """Pull the room's data; with `pack`, the model's weights and checkpoints too.

    Raises PromotionError naming every object that is missing or damaged, and every partition that is not the one its
    manifest describes.
    """
    pointers = sorted(room.data.rglob("*.dvc"))
    if pack:
        pointers += sorted(path for path in room.model.rglob("*.dvc") if not path.is_relative_to(room.data))
    fetch(room.store, [path for path in pointers if path.is_file()])
    _verify(room.data)


def _check_out(repository: Repository, commit: str, tree: Path, index: Path) -> None:
    """The commit's files in `tree`, through an index of their own: the user's index and working tree stay as they are.

    As old as the commit: what is computed from a file written just now is not remembered (`provenance.memory`), and each of the
    room's processes would follow the code's imports anew.
    """
    extra = {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(repository.git_dir), "GIT_WORK_TREE": str(tree)}
    repository.run("read-tree", commit, extra=extra)
    repository.run("checkout-index", "--all", "--force", f"--prefix={tree}/", extra=extra)
    at = int(repository.text("show", "--no-patch", "--format=%ct", commit))
    for path in tree.rglob("*"):
        os.utime(path, (at, at), follow_symlinks=False)


def fetch(store: Store, pointer_files: Iterable[Path]) -> None:
    """Bring the object of each `.dvc` file beside it. All are tried; every failure is named."""

    def one(path: Path) -> None:
        store.get(Pointer.parse(path.read_bytes(), str(path)), path.with_suffix(""))

    findings: list[Finding] = []
    with ThreadPoolExecutor(_FETCHES_AT_ONCE) as threads:
        for path, future in [(path, threads.submit(one, path)) for path in pointer_files]:
            try:
                future.result()
            except StoreError as error:
                findings.extend(_with_partition(finding, path) for finding in error.findings)
    raise_all(PromotionError, findings)


def _with_partition(finding: Finding, pointer: Path) -> Finding:
    """The same finding, naming the folder too: every dataset has a partition called like a day."""
    name = f"{pointer.parent.name}/{pointer.with_suffix('').name}"
    return Finding(f"{name}: {finding.error}", finding.where, finding.expected, finding.remedy)


def _verify(data: Path) -> None:
    """Each partition is, byte for byte, the one that its manifest describes (DVC's MD5 alone is not trusted)."""
    findings: list[Finding] = []
    for parquet in sorted(data.rglob("*.parquet")):
        manifest = read_json(parquet.with_suffix(".json"))
        found = sha256_file(parquet)
        if found != manifest["file_sha256"]:
            findings.append(
                Finding(
                    f"{manifest['dataset']}/{manifest['key']} is not the partition that was trained on",
                    f"SHA-256 {found[:12]}…",
                    f"SHA-256 {manifest['file_sha256'][:12]}… as its manifest says",
                    "`mtac push` from where the model was made",
                )
            )
    raise_all(PromotionError, findings)
