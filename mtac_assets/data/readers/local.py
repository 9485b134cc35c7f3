"""Files of plain paths, one a day: what the file of a day is called, and the state that tells whether it changed.

One `stat` a file, and nothing imported for it: the plan asks this of thousands of days. Does not belong here: other file
systems and other kinds of source (see `state`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mtac_assets.data.readers.uri import local_uri, resolve
from mtac_assets.spec.errors import Finding, MtacError

WHOLE = "all"  # the key of a dataset without time
_PLACEHOLDER = re.compile(r"\{date(?::([^{}]+))?\}")


class SourceError(MtacError):
    """The source of a dataset cannot be read as declared."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a partition came from, without credentials, and a state that changes when it does (None: cannot be told)."""

    uri: str
    state: str | None

    def document(self) -> dict[str, str | None]:
        return {"uri": self.uri, "state": self.state}


def is_local(url: str) -> bool:
    return "://" not in url and "::" not in url


def file_name(pattern: str, key: str) -> str:
    """The file of partition `key`: {date} becomes YYYY-MM-DD, {date:FORMAT} what strftime makes of FORMAT."""
    if key == WHOLE:
        return pattern
    if "{date:" not in pattern:
        return pattern.replace("{date}", key)
    day = date.fromisoformat(key)
    return _PLACEHOLDER.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), pattern)


def file_states(url: str, pattern: str, keys: Sequence[str], root: Path) -> list[tuple[int, int] | None]:
    """Size in bytes and modification time in ns of the file of each of `keys`; None where there is none.

    By name from an open folder: 2.6 µs a file, and files of other days cost nothing. Listing the folder with the states of its
    files takes 3.4 µs for each that lies there. SourceError where the folder or a file may not be looked at.
    """
    folder = resolve(url, root)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return [None] * len(keys)
    except OSError as error:
        raise _closed(folder, error) from None
    found: list[tuple[int, int] | None] = []
    name, stat = "", os.stat
    try:
        for key in keys:
            name = file_name(pattern, key)
            try:
                status = stat(name, dir_fd=descriptor)
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
                continue
            found.append((status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise _closed(f"{folder}/{name}", error) from None
    finally:
        os.close(descriptor)
    return found


def file_source(url: str, pattern: str, key: str, state: tuple[int, int], root: Path) -> Source:
    """A day's file in the state that `file_states` found, as manifests record it."""
    path = Path(resolve(url, root)) / file_name(pattern, key)
    return Source(local_uri(path, root), f"size:{state[0]} mtime_ns:{state[1]}")


def _closed(path: str, error: OSError) -> SourceError:
    return SourceError(
        Finding(
            f"cannot be looked at: {os.strerror(error.errno or 0)}",
            path,
            "files of this user, or that this user may read",
            "correct the permissions, or source.url in dataset.yaml",
        )
    )
