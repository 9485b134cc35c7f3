"""Backup and restore of a thousand models: the first, one with nothing new, one with one model more, and back into a clone.

The models are copies of one recorded model with weights and checkpoints of their own: five objects of 40 kB each, and the
196 partitions that all of them share. Every figure is a command in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, timed
from benchmarks.provenance import AS_OF, PARTITION_BYTES, RECIPE, clone, fill, mtac, other_id, process, seal
from mtac_assets.provenance import refs
from mtac_assets.provenance.digest import canonical_json
from mtac_assets.provenance.git import MODELS, Repository
from mtac_assets.provenance.record import record_model
from mtac_assets.provenance.store import Pointer, Store
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project

MANY, OBJECT_BYTES = 1000, 40_000


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name:
        folder = Path(name)
        project = clone(folder / "project")
        resolved = load_recipe(project, RECIPE, (), AS_OF)
        fill(project, resolved, PARTITION_BYTES)
        pack, report = seal(project, resolved, weights=OBJECT_BYTES)
        record_model(project, resolved, pack, report, trigger="bench")
        _copies(project, pack.name, 1, MANY)
        safe = folder / "safe"
        save = process(mtac(project.root, "backup", str(safe)), project.root)
        first, nothing = timed(save), timed(save)
        _copies(project, pack.name, MANY, MANY + 1)
        one = timed(save)
        read_again = timed(process(mtac(project.root, "backup", str(safe), "--verify"), project.root))
        again = folder / "again"
        subprocess.run(["git", "clone", "-q", str(safe / "mtac.git"), str(again)], check=True)
        back = timed(process(mtac(again, "restore", str(safe)), again))
        size = sum(path.stat().st_size for path in safe.rglob("*") if path.is_file()) / 1e6
    detail = f"5 objects of {OBJECT_BYTES // 1000} kB a model, {size:,.0f} MB in all"
    return [
        Figure(f"backup of {MANY:,} models", first, "s", detail=detail),
        Figure("the same again, nothing new", nothing, "s"),
        Figure("the same again, one model new", one, "s"),
        Figure("the same again, all of it read again", read_again, "s", detail="`--verify`: git fsck, every object"),
        Figure(f"restore of {MANY + 1:,} models into a clone", back, "s", detail="packs, reports and data laid out"),
    ]


def _copies(project: Project, model_id: str, first: int, last: int) -> None:
    """Models `first` to `last`, not included: commits like that of `model_id`, with objects of their own in the store."""
    repository, store = Repository.at(project.root), Store.of(project)
    summary = refs.find_model(repository, model_id)
    tree = repository.text("rev-parse", f"{summary.commit}^{{tree}}")
    own = [path for path in repository.list_tree(summary.commit, "model/") if path.endswith(".safetensors.dvc")]
    spare = project.state.root / "object"
    parts: list[bytes] = []
    for mark, number in enumerate(range(first, last), start=1):
        line = canonical_json(json.loads(summary.line()) | {"model_id": other_id(number)})
        message = b"a model\n\n" + line + b"\n"
        parts.append(b"commit refs/heads/bench\nmark :%d\ncommitter mtac <mtac@localhost> %d +0000\n" % (mark, number))
        parts.append(b"data %d\n%b\n" % (len(message), message))
        parts.append(b"M 040000 %b \n" % tree.encode())
        for path in own:
            content = secrets.token_bytes(OBJECT_BYTES)
            spare.write_bytes(content)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            pointer = Pointer(md5, OBJECT_BYTES, Path(path).name.removesuffix(".dvc"))
            store.put(spare, pointer)
            document = pointer.document()
            parts.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(document), document))
    parts += [b"get-mark :%d\n" % mark for mark in range(1, last - first + 1)]
    commits = repository.text("fast-import", "--quiet", "--done", "--force", data=b"".join(parts) + b"done\n").split()
    commands = "".join(f"create {MODELS}{other_id(first + at)} {commit}\n" for at, commit in enumerate(commits))
    repository.run("update-ref", "--stdin", data=(commands + "delete refs/heads/bench\n").encode())
    spare.unlink()
