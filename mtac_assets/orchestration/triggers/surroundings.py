"""Whether a recipe's data moved since a sensor last looked: two `stat` a dataset, so that a tick that finds nothing is cheap."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mtac_assets.provenance.files import FileState
from mtac_assets.provenance.memory import RACY_NS

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


class Stillness:
    """Remembers, for as long as a process lives, how the folders of some datasets looked when all was done."""

    def __init__(self, project: Project, datasets: Iterable[str]) -> None:
        self._folders = [project.state.data / name for name in datasets]
        self._last: tuple[FileState | None, ...] | None = None

    def now(self) -> tuple[FileState | None, ...] | None:
        """The folders' states; None while one was written so recently that its time proves nothing."""
        states: list[FileState | None] = []
        for folder in self._folders:
            try:
                state = FileState.of(folder)
            except FileNotFoundError:
                states.append(None)
                continue
            if time.time_ns() - state.mtime_ns < RACY_NS:
                return None
            states.append(state)
        return tuple(states)

    def still(self, states: tuple[FileState | None, ...] | None) -> bool:
        return states is not None and states == self._last

    def settle(self, states: tuple[FileState | None, ...] | None) -> None:
        """All that there was to do for these states is done."""
        self._last = states
