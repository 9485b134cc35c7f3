"""What was found valid is not parsed again: answers kept beside the state, by the content of every file they come from.

`mtac plan` on an unchanged project has 0.2 s, and importing pydantic and ruamel.yaml and building the models takes more.
So a valid file's fields are kept as JSON, under a key that covers this package's own source, the question and the bytes of
every file read. It is only ever a shortcut: a lost, damaged or unwritable file means reading again, never a wrong answer.
Faults are never kept. Nothing here, and nothing that this imports, may import pydantic or ruamel.yaml.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1


def recall(folder: Path, root: Path, question: object) -> Any | None:
    """The answer kept under `question`, where every file that it came from is byte for byte what it was; else None."""
    try:
        content = _file(folder, question).read_bytes()
        digest, _, body = content.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        document: dict[str, Any] = json.loads(body)
        inputs: dict[str, str] = document["inputs"]
        if any(_digest(root / name) != known for name, known in inputs.items()):
            return None
    except OSError:
        return None
    return document["answer"]


def remember(folder: Path, root: Path, question: object, inputs: Mapping[Path, bytes], answer: object) -> None:
    """Keep `answer`. `inputs` are the files of the project at `root` that it came from, with their bytes as read."""
    import tempfile  # pulls in random and shutil, which a recall has no use for

    digests = {
        Path(os.path.abspath(path)).relative_to(root).as_posix(): hashlib.sha256(content).hexdigest()
        for path, content in inputs.items()
    }
    document = {"schema_version": SCHEMA_VERSION, "inputs": digests, "answer": answer}
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    path = _file(folder, question)
    temporary: str | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        # No fsync: a file that a crash cut short does not match its digest, and is read again.
        Path(temporary).replace(path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _file(folder: Path, question: object) -> Path:
    key = json.dumps([SCHEMA_VERSION, _language(), question], separators=(",", ":"))
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _language() -> str:
    """Digest of this package's source: another version of the language may find another thing valid."""
    return digest_of(sorted(Path(__file__).parent.glob("*.py")))


def digest_of(paths: Iterable[Path]) -> str:
    """One digest over the names and bytes of several files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name}\0{_digest(path)}\n".encode())
    return total.hexdigest()
