"""Large files outside Git: objects named by their MD5 in the DVC remote's own layout, with pointers that DVC reads.

Belongs here: writing and reading single objects fast, without importing DVC, so that recording a model takes no second and
plain `dvc pull` in a checkout still finds everything. Versioning whole datasets is `data.versioning`'s matter.
docs/decisions/0002-models-in-git-and-dvc.md says why.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

from mtac_assets.provenance.files import FileState, atomic_path
from mtac_assets.provenance.memory import Memory
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

LAYOUT = "files/md5"
_BLOCK = 1 << 20


class StoreError(MtacError):
    """An object is missing from the store, or is not what its name says."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a `.dvc` file says of one file."""

    md5: str
    size: int
    name: str

    def document(self) -> bytes:
        """The `.dvc` file, as `dvc add` writes it."""
        return f"outs:\n- md5: {self.md5}\n  size: {self.size}\n  hash: md5\n  path: {self.name}\n".encode()

    @classmethod
    def parse(cls, document: bytes, where: str) -> Pointer:
        """The single output of a `.dvc` file. Raises StoreError where it is another kind of file."""
        fields: dict[str, str] = {}
        for line in document.decode("utf-8", "replace").splitlines():
            name, colon, value = line.lstrip("- ").partition(":")
            if colon:
                fields.setdefault(name.strip(), value.strip().strip("'\""))
        try:
            return cls(fields["md5"], int(fields["size"]), fields["path"])
        except (KeyError, ValueError) as error:
            raise StoreError(
                Finding(
                    f"no pointer to one file: lacks {error}",
                    where,
                    "md5, size and path of one output",
                    "restore the file from Git",
                )
            ) from error


@dataclass(frozen=True)
class Store:
    """A DVC remote: a folder, or any URL that fsspec knows."""

    url: str

    @classmethod
    def of(cls, project: Project) -> Store:
        """The remote of the project's environment: the declared one, or the folder beside its state."""
        return cls(remote_url(project))

    @property
    def folder(self) -> Path | None:
        """The local folder behind the URL, None where it is elsewhere."""
        if self.url.startswith("file://"):
            return Path(urlsplit(self.url).path)
        return None if "://" in self.url else Path(self.url)

    def has(self, pointer: Pointer) -> bool:
        """Whether an object of that name and size is there; its content is not read."""
        if self.folder is not None:
            path = self.folder / _place(pointer.md5)
            return path.is_file() and path.stat().st_size == pointer.size
        system, root = self._elsewhere()
        path = f"{root}/{_place(pointer.md5)}"
        return bool(system.exists(path)) and system.size(path) == pointer.size

    def path(self, pointer: Pointer) -> Path | None:
        """Where the object lies on this machine; None where the store is elsewhere."""
        return None if self.folder is None else self.folder / _place(pointer.md5)

    def put(self, path: Path, pointer: Pointer) -> None:
        """Store the file; nothing where it is there already. It appears whole or not at all."""
        if self.has(pointer):
            return
        if self.folder is not None:
            with atomic_path(self.folder / _place(pointer.md5)) as temporary:
                shutil.copyfile(path, temporary)
            return
        system, root = self._elsewhere()
        system.put_file(str(path), f"{root}/{_place(pointer.md5)}")

    def get(self, pointer: Pointer, destination: Path) -> None:
        """Fetch the object to `destination`, verified. Raises StoreError where it is missing or damaged."""
        with atomic_path(destination) as temporary:
            try:
                if self.folder is not None:
                    shutil.copyfile(self.folder / _place(pointer.md5), temporary)
                else:
                    system, root = self._elsewhere()
                    system.get_file(f"{root}/{_place(pointer.md5)}", str(temporary))
            except FileNotFoundError as error:
                raise self._missing(pointer) from error
            if md5_file(temporary) != pointer.md5:
                raise self._damaged(pointer)

    def problem(self, pointer: Pointer) -> StoreError | None:
        """What is wrong with the object, its content read in full; None where nothing is."""
        if not self.has(pointer):
            return self._missing(pointer)
        if self.folder is not None and md5_file(self.folder / _place(pointer.md5)) != pointer.md5:
            return self._damaged(pointer)
        return None

    def _elsewhere(self) -> tuple[Any, str]:
        import fsspec.core  # pyright: ignore[reportMissingTypeStubs]

        opened = cast("tuple[Any, Any]", fsspec.core.url_to_fs(self.url))  # pyright: ignore[reportUnknownMemberType]
        return opened[0], str(opened[1]).rstrip("/")

    def _missing(self, pointer: Pointer) -> StoreError:
        return StoreError(
            Finding(
                f"the object of {pointer.name} is not in the store",
                f"{public_url(self.url)}/{_place(pointer.md5)}",
                f"{pointer.size} bytes with MD5 {pointer.md5}",
                "`mtac push` from where the model was made, then `mtac fetch` here",
            )
        )

    def _damaged(self, pointer: Pointer) -> StoreError:
        return StoreError(
            Finding(
                f"the object of {pointer.name} is damaged",
                f"{public_url(self.url)}/{_place(pointer.md5)}",
                f"MD5 {pointer.md5}",
                "remove the object, then `mtac push` from where the model was made",
            )
        )


def remote_url(project: Project) -> str:
    """The environment's DVC remote; a relative path counts from the project, none is the folder beside the state."""
    declared = project.environment.data.remote
    if declared is None:
        return str(project.state.remote)
    return declared if "://" in declared else str((project.root / declared).resolve())


def public_url(url: str) -> str:
    """`url` without user and password: what may be written down."""
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def pointer_to(path: Path, memory: Memory | None = None) -> Pointer:
    """The pointer to a file; its MD5 is remembered while the file's state is unchanged."""
    memory = memory or Memory(None)
    state = FileState.of(path)
    md5 = memory.get(str(path), state)
    if md5 is None:
        md5 = md5_file(path)
        memory.put(str(path), state, value=md5)
    return Pointer(md5, state.size, path.name)


def md5_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def dvc_config(url: str) -> bytes:
    """`.dvc/config` that lets plain `dvc pull` find the remote, and verify what it brings."""
    return f"[core]\n    remote = mtac\n    analytics = false\n['remote \"mtac\"']\n    url = {public_url(url)}\n    verify = true\n".encode()


def _place(md5: str) -> str:
    return f"{LAYOUT}/{md5[:2]}/{md5[2:]}"
