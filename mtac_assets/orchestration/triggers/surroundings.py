"""Whether what a sensor looks at moved since all was done: a `stat` a folder, so that a tick that finds nothing is cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.provenance.files import FileState, settled

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


@dataclass(frozen=True)
class Moment:
    """How it looked: `mark` of what is no folder, and each folder's state, None where it is not there."""

    mark: str
    folders: tuple[tuple[Path, FileState | None], ...]


class Stillness:
    """Remembers, for as long as a process lives, how some folders looked when all was done: those of datasets, and whatever
    else `also` names. `mark` stands for what is no folder: the ledger's head, say."""

    def __init__(self, project: Project, datasets: Iterable[str], mark: Callable[[], str] = str) -> None:
        self._folders = tuple(project.state.data / name for name in datasets)
        self._others: tuple[Path, ...] = ()
        self._mark = mark
        self._last: Moment | None = None

    def also(self, folders: Iterable[Path]) -> None:
        """Look at these from now on, beside the datasets' and in place of others named before."""
        self._others = tuple(folders)

    def now(self) -> Moment | None:
        """How it looks; None while a folder was written so recently that its time proves nothing."""
        states: list[tuple[Path, FileState | None]] = []
        for folder in (*self._folders, *self._others):
            state = FileState.find(folder)
            if state is not None and not settled(state.mtime_ns):
                return None
            states.append((folder, state))
        return Moment(self._mark(), tuple(states))

    def still(self, states: Moment | None) -> bool:
        return states is not None and states == self._last

    def settle(self, states: Moment | None) -> None:
        """All that there was to do for these states is done."""
        self._last = states
