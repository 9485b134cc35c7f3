"""Files of plain paths, one a day: what the file of a day is called, and the state that tells whether it changed.

One `stat` a file, and nothing imported for it: the plan asks this of thousands of days. Does not belong here: other file
systems and other kinds of source (see `state`).
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mtac_assets.data.readers.uri import local_uri, resolve
from mtac_assets.spec.errors import Finding, MtacError

WHOLE = "all"  # the key of a dataset without time
_PLACEHOLDER = re.compile(r"\{date(?::([^{}]+))?\}")
_DIRECTIVE = re.compile("%.")
_PLACES = {"%Y": "{1}", "%m": "{2}", "%d": "{3}"}
_FOUR_DIGIT_YEAR = "1000"  # strftime writes an earlier one without its zeros


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
    day = date.fromisoformat(key)
    return _PLACEHOLDER.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), pattern)


def file_names(pattern: str, keys: Sequence[str]) -> list[str]:
    """`file_name` of each of `keys`, tenfold faster for days where the formats are of year, month and day."""
    template = _template(pattern)
    if template is None or not all(_FOUR_DIGIT_YEAR <= key < WHOLE for key in keys):
        return [file_name(pattern, key) for key in keys]
    return [template.format(key, *key.split("-")) for key in keys]


def _template(pattern: str) -> str | None:
    """`pattern` for str.format with a day and its year, month and day; None where a format has other directives."""
    made, end = "", 0
    for found in _PLACEHOLDER.finditer(pattern):
        written = _DIRECTIVE.sub(lambda one: _PLACES.get(one[0], one[0]), found[1] or "{0}")
        if "%" in written:
            return None
        made += _escaped(pattern[end : found.start()]) + written
        end = found.end()
    return made + _escaped(pattern[end:])


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True, slots=True)
class FileStates:
    """Size in bytes and modification time in ns of a file for each key, in the keys' order; both -1 where there is none."""

    sizes: array[int]
    times: array[int]

    def __getitem__(self, place: int) -> tuple[int, int] | None:
        return None if self.sizes[place] < 0 else (self.sizes[place], self.times[place])

    def bytes(self, start: int = 0, stop: int | None = None) -> bytes:
        """The states of a stretch of keys, for a digest."""
        return self.sizes[start:stop].tobytes() + self.times[start:stop].tobytes()


def file_states(url: str, pattern: str, keys: Sequence[str], root: Path) -> FileStates:
    """The states of the files of `keys`. SourceError where the folder or a file may not be looked at.

    By name from an open folder: of 20,000 files in 0.05 s, and files of other days cost nothing. Listing the folder and asking
    each entry for its state takes 0.07 s; two threads take no less than one.
    """
    folder = resolve(url, root)
    sizes, times = array("q", [-1]) * len(keys), array("q", [-1]) * len(keys)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return FileStates(sizes, times)
    except OSError as error:
        raise _closed(folder, error) from None
    name, stat = "", os.stat
    try:
        for place, name in enumerate(file_names(pattern, keys)):
            try:
                status = stat(name, dir_fd=descriptor)
            except (FileNotFoundError, NotADirectoryError):
                continue
            sizes[place] = status.st_size
            times[place] = status.st_mtime_ns
    except OSError as error:
        raise _closed(f"{folder}/{name}", error) from None
    finally:
        os.close(descriptor)
    return FileStates(sizes, times)


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
