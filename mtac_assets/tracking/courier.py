"""The thread that brings a recording to MLflow while the training runs, so that no training ever waits for MLflow.

MLflow's import (2.5 s), its first schema (1.6 s) and its answers all fall beside the training. A failure only means
that the courier tries again later, with growing pauses; what it cannot bring stays in the outbox.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mtac_assets.tracking.delivery import Delivery, deliver
from mtac_assets.tracking.errors import Refused, TrackingError, Unreachable
from mtac_assets.tracking.outbox import Folder

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
FRESH_FAILURE = 15.0


class Courier:
    """Delivers one recording in the background until closed. `last` and `failure` tell how far it came."""

    def __init__(self, project: Project, folder: Folder) -> None:
        self._project = project
        self._folder = folder
        self._wake = threading.Event()
        self._closing = False
        self._pause = FIRST_PAUSE
        self._failed_at: float | None = None
        self.last: Delivery | None = None
        self.failure: TrackingError | None = None
        self._thread = threading.Thread(target=self._work, name=f"mtac-courier-{folder.recording_id}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something new lies in the outbox."""
        self._wake.set()

    def close(self, seconds: float) -> None:
        """Let the courier bring the rest, for at most `seconds`; a server that just failed is not asked again."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            closing = self._closing  # read before delivering: what was written before closing is then delivered
            self._wake.clear()
            if not (closing and self._failed_recently()):
                self._try()
            if closing or isinstance(self.failure, Refused) or (self.last is not None and self.last.complete):
                return
            if self.failure is None:
                self._wake.wait()
            else:
                self._rest()

    def _try(self) -> None:
        try:
            self.last = deliver(self._project, self._folder) or self.last
            self.failure, self._failed_at, self._pause = None, None, FIRST_PAUSE
        except (Unreachable, Refused) as error:
            self.failure, self._failed_at = error, time.monotonic()

    def _failed_recently(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at < FRESH_FAILURE

    def _rest(self) -> None:
        """Wait out the pause; only closing cuts it short, news does not."""
        until = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._wake.wait(min(left, 0.5))
            self._wake.clear()
