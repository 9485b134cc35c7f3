"""A child's own limit: should whoever started it be killed, nobody is left who would end it.

Belongs here: the kernel's alarm, which ends a process even where it hangs in a library. Whoever started it ends it first,
with a word on why; this comes some time later.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "MTAC_LIMIT_SECONDS"
LATER_SECONDS = 30


def keep_own_limit() -> None:
    """From now on, this process ends by SIGALRM soon after the limit that it was started with. Nothing where it has none."""
    seconds = os.environ.get(VARIABLE)
    if seconds is not None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, float(seconds) + LATER_SECONDS)
