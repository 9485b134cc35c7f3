"""The standard library's sources as they lie in the running interpreter (PSF licence); nothing is downloaded.

Another version of Python holds other texts; the content digest tells. Empty files are left out: they hold no text.
"""

import sysconfig
from collections.abc import Iterator
from pathlib import Path


def modules(leave_out: list[str]) -> Iterator[tuple[str, bytes]]:
    """Path below the library and bytes of each module outside the folders `leave_out`."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if not set(name.parts[:-1]) & set(leave_out):
            text = path.read_bytes()
            if text.strip():
                yield name.as_posix(), text
