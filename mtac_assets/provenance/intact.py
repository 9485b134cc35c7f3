"""Is a published folder still what it was? A pack lists its files with size and SHA-256; a report stands beside it.

Belongs here: checking such a list, quickly where the files' states are unchanged since they were last digested, in full where
asked. What the files mean is `training`'s and `evaluation`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import FileState
from mtac_assets.provenance.memory import Memory

PACK_LIST = "pack.json"
REPORT_LIST = "files.json"


def pack_problems(pack: Path, cache: Path | None = None) -> list[str]:
    """What is wrong with the pack, one sentence each; empty where it is complete and intact. See `folder_problems`."""
    if not pack.is_dir():
        return ["there is no pack"]
    return folder_problems(pack, PACK_LIST, cache)


def folder_problems(folder: Path, list_name: str, cache: Path | None = None) -> list[str]:
    """What is wrong with the files that `list_name` in the folder lists, one sentence each; empty where nothing is.

    With a `cache` file, a folder whose files were digested before and have the same size, inode and time is taken as intact;
    without one every file is digested.
    """
    listed = read_object(folder / list_name)
    if listed is None:
        return [f"{list_name} is missing"]
    files = listed_files(listed)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    states = [FileState.of(folder / name) for name in (list_name, *sorted(files))]
    memory = Memory(cache)
    if memory.get(folder.name, *states) is not None:
        return []
    problems = [f"{name} is damaged" for name, entry in sorted(files.items()) if not _same(folder / name, entry)]
    if not problems:
        memory.put(folder.name, *states, value=True)
        memory.save()
    return problems


def listed_files(listed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """File name to `{"size", "sha256"}` of a `pack.json`, whether it lists them as an object or as an array."""
    files: Any = listed.get("files", {})
    if isinstance(files, list):
        entries = cast("list[dict[str, Any]]", files)
        return {str(entry.get("path", entry.get("name"))): entry for entry in entries}
    return cast("dict[str, dict[str, Any]]", files)


def _same(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.stat().st_size == entry["size"] and sha256_file(path) == entry["sha256"]
