"""A child process that does one piece of work and tells of it on standard error: evaluating and scoring are run so.

Belongs here: its life. What its end means is the caller's to say. The trainer's own process is `launch`'s, which watches its
progress file and can ask it to save its state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training import ahead, flags, own_limit
from mtac_assets.training.nursery import Forked


class Overdue(Exception):
    """The child did not end within its limit and was ended, with all that it started."""


def variables(project: Project, resolved: ResolvedRecipe) -> dict[str, str]:
    """The environment of a process that computes as the recipe's training does."""
    return {
        **os.environ,
        **flags.variables(resolved.recipe.training),
        "APP_ENV": project.environment.name,
        own_limit.VARIABLE: str(project.environment.limits.run_seconds),
    }


def run_child(
    module: str,
    arguments: Sequence[str],
    root: Path,
    environment: Mapping[str, str],
    limit: float,
    on_note: Callable[[str], None] | None = None,
) -> int:
    """The exit code of `python -m module arguments` in `root`; one that waits for this since `ahead.prepare` is taken.

    It leads a session of its own, which is ended with it, after `limit` seconds or by our own end. `on_note` gets each line
    that it writes to standard error, beside our own standard error. Raises Overdue.
    """
    child = ahead.take(module, arguments, root, environment, piped=True) if on_note is not None else None
    return attend(child or _started(module, arguments, root, environment, on_note), limit, on_note)


def attend(child: subprocess.Popen[bytes] | Forked, limit: float, on_note: Callable[[str], None] | None) -> int:
    """The exit code of a process that leads a session of its own, as `run_child` has it."""
    reader = None
    if on_note is not None:
        assert child.stderr is not None
        reader = threading.Thread(target=_relay, args=(child.stderr, on_note), daemon=True)
        reader.start()
    try:
        code = child.wait(limit)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Overdue from error
        raise
    if reader is not None:
        reader.join()
    return code


def _started(
    module: str,
    arguments: Sequence[str],
    root: Path,
    environment: Mapping[str, str],
    on_note: Callable[[str], None] | None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if on_note is None else subprocess.PIPE,
        start_new_session=True,
    )


def signal_words(code: int) -> str:
    """A negative exit code in words: the signal's name, and what that may mean."""
    hint = "; the system ends processes so when memory runs out" if -code == signal.SIGKILL else ""
    return f"{signal.Signals(-code).name}{hint}"


def _relay(stream: IO[bytes], on_note: Callable[[str], None]) -> None:
    for line in stream:
        text = line.decode(errors="replace").rstrip()
        print(text, file=sys.stderr, flush=True)
        on_note(text)
