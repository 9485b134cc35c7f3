"""The DVC project in the state folder: its configuration, and DVC's own code kept quiet and inside that folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.files import write_atomic
from mtac_assets.provenance.store import public_url, remote_url
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

_LOGGERS = ("dvc", "dvc_data", "dvc_objects")


class DvcFailure(Exception):
    """What DVC raised, in one line."""


@contextmanager
def open_project(project: Project, remote: str | None = None) -> Iterator[Any]:
    """The `dvc.repo.Repo` of the state folder, made where there is none; `remote` replaces its remote for this once.

    Credentials in a remote's URL reach DVC in memory alone: the configuration on disk has none.
    """
    root = project.state.root
    configure(project)
    site = root / ".dvc" / "site"
    os.environ["DVC_NO_ANALYTICS"] = "1"
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    override = {
        "core": {"site_cache_dir": str(site), "analytics": False, "autostage": False},
        "remote": {"default": {"url": remote or remote_url(project), "verify": True}},
    }
    try:
        repository = Repo(str(root), config=override)
    except DvcException as error:
        raise MtacError(
            Finding(
                f"DVC cannot open its project: {error}",
                str(root / ".dvc"),
                "a DVC project",
                "remove the folder's config",
            )
        ) from None
    try:
        yield repository
    finally:
        repository.close()


def run_quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call DVC without its progress bars and logged tracebacks; DvcFailure in one line where it raises."""
    from dvc.exceptions import DvcException

    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        return function(*arguments)
    except (DvcException, OSError) as error:
        raise DvcFailure(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def configure(project: Project) -> None:
    """`.dvc/config` for whoever uses `dvc` by hand in the state folder; the site cache stays inside."""
    folder, url = project.state.root / ".dvc", remote_url(project)
    shown = os.path.relpath(url, folder) if "://" not in url else public_url(url)
    _write(folder / "config", f"""[core]
    no_scm = True
    analytics = false
    remote = default
['remote "default"']
    url = {shown}
    verify = true
""")  # fmt: skip
    _write(folder / "config.local", f"[core]\n    site_cache_dir = {folder / 'site'}\n")


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_atomic(path, text.encode())
