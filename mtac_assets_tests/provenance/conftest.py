"""A small project of a team's own in a temporary Git repository, with partitions, packs and reports as documents."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.provenance.digest import sha256_bytes
from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.identity import declare
from mtac_assets.provenance.keys import derived_keys, report_key
from mtac_assets.provenance.plan import contract_in_force
from mtac_assets.provenance.record import record_model
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import ResolvedRecipe

FILES = {
    "pyproject.toml": '[tool.dg.project]\nroot_module = "shop"\n',
    ".gitignore": "/.mtac/\n__pycache__/\n",
    "README.md": "A shop.\n",
    "shop/__init__.py": "",
    "shop/calendar.py": "import json\n\n\ndef weekday(day):\n    return day.weekday()\n\n\ndef unused(day):\n    return 7\n",
    "shop/web.py": "def page():\n    return 'a page'\n",
    "shop/environments/local.yaml": """\
schema_version: 1
name: local
state: .mtac
limits: {run_seconds: 600}
promotion: {branches: ["*"], require_clean: false, require_approval: false}
""",
    "shop/defs/sales/dataset.yaml": """\
schema_version: 1
name: sales
source: {kind: files, url: incoming, pattern: "{date}.csv", format: csv}
partitions: {kind: daily, date: day, start: 2024-01-01, end: 2024-12-31}
key: [till, day]
event_time: day
contract: {schema: contract:schema, max_quarantined: 0.01, rows: {min: 1, max: 10}}
""",
    "shop/defs/sales/contract.py": "def schema():\n    return None\n",
    "shop/defs/demand/recipe.yaml": """\
schema_version: 1
name: demand
data: {rows: sales}
window: {train_days: 4, validate_days: 1, test_days: 2, history_days: 2}
features: {view: "features:view", label: "features:label", numeric: [amount], slices: []}
model: {kind: tabular_ensemble, settings: {}}
training:
  seed: 1
  epochs: 1
  batch_size: 8
  micro_batch_size: 8
  optimizer: adamw
  learning_rate: 2e-3
  precision: float32
  device: cpu
  threads: 1
  checkpoint_every_steps: 10
""",
    "shop/defs/demand/features.py": """\
from shop.calendar import weekday


def view(rows):
    from beside import scale

    return scale(weekday(rows))


def label(rows):
    return rows
""",
    "shop/defs/demand/beside.py": "FACTOR = 2\n\n\ndef scale(x):\n    return x * FACTOR\n",
    "shop/defs/demand/tills.csv": "till\n1\n",
}
AS_OF = date(2024, 2, 1)


@dataclass(frozen=True)
class Shop:
    """The project, and what tests do to it."""

    root: Path

    @property
    def project(self) -> Project:
        return find_project(self.root)

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """The user's own git, by default in the project's folder."""
        done = subprocess.run(["git", *arguments], cwd=folder or self.root, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def commit(self, message: str = "Change") -> str:
        self.git("add", "-A")
        self.git("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def age(self) -> None:
        """Let every file and folder be an hour old, so that its state may be remembered."""
        for path in (*self.root.rglob("*"), self.root):
            if ".git" not in path.parts:
                status = path.stat()
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 3_600_000_000_000))

    def resolve(self, *overrides: str, as_of: date = AS_OF) -> ResolvedRecipe:
        return load_recipe(self.project, "demand", overrides, as_of)

    def stock(self, *, without: Sequence[str] = ()) -> None:
        """Every day that a model as of AS_OF needs."""
        for day in self.resolve().windows().all:
            if day not in without:
                self.partition(day)

    def partition(self, key: str, text: str | None = None, dataset: str = "sales") -> None:
        """A partition with manifest, stamp and pointer; provenance reads none of the rows."""
        folder = self.project.state.data / dataset
        folder.mkdir(parents=True, exist_ok=True)
        content = (text if text is not None else f"rows of {key}").encode()
        (folder / f"{key}.parquet").write_bytes(content)
        manifest = {
            "schema_version": 1,
            "dataset": dataset,
            "key": key,
            "content_digest": sha256_bytes(b"content " + content),
            "file_sha256": sha256_bytes(content),
            "file_size": len(content),
            "rows": 1,
            "quarantined_rows": 0,
            "columns": [{"name": "till", "type": "int64"}],
            "source": {"uri": "incoming", "state": ""},
            "written_at": "2024-01-01T00:00:00.000+00:00",
        }
        write_json(folder / f"{key}.json", manifest)
        contract = contract_in_force(self.project, dataset)
        stamped = {name: manifest[name] for name in ("schema_version", "dataset", "key", "content_digest")}
        write_json(folder / f"{key}.stamp.json", stamped | {"contract_digest": contract, "checks": []})
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        pointer = f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {key}.parquet\n"
        (folder / f"{key}.parquet.dvc").write_text(pointer)

    def features(self) -> None:
        """Feature manifests and a training set, under the keys that they belong to now."""
        project, resolved = self.project, self.resolve()
        keys = derived_keys(project, resolved)
        for day, key in keys.features.items():
            write_json(project.state.features / "demand" / f"{day}.json", {"schema_version": 1, "key": key})
        assert keys.training_set is not None
        folder = project.state.training_sets / keys.training_set[:12]
        write_json(folder / "manifest.json", {"schema_version": 1, "key": keys.training_set})

    def pack(self, resolved: ResolvedRecipe | None = None, weights: bytes = b"weights") -> Path:
        """A complete pack of a model that was not really trained, under its Model ID."""
        project, resolved = self.project, resolved or self.resolve()
        declaration = declare(project, resolved)
        pack = project.state.models / declaration.model_id(resolved.name)
        documents = {
            "declaration.json": declaration.document(),
            "recipe.json": resolved.document(),
            "digests.json": {
                "schema_version": 1,
                "weights_digest": sha256_bytes(weights),
                "tensors": {},
                "initial_digest": "a" * 64,
                "segments": [_segment(0, 10, "a", "b"), _segment(10, 20, "b", "c")],
            },
            "losses.json": {"schema_version": 1, "losses": [0.5] * 20},
            "model.json": {"schema_version": 1},
        }
        for name, document in documents.items():
            write_json(pack / name, document)
        (pack / "model.safetensors").write_bytes(weights)
        (pack / "checkpoints").mkdir(exist_ok=True)
        (pack / "checkpoints" / "10.safetensors").write_bytes(b"state " + weights)
        write_json(pack / "pack.json", {"schema_version": 1, "files": _listed(pack, "pack.json")})
        return pack

    def report(self, model_id: str, roc_auc: float = 0.7) -> Path:
        folder = self.project.state.reports / model_id
        metrics = {"roc_auc": {"value": roc_auc, "low": roc_auc - 0.1, "high": roc_auc + 0.1}}
        key = report_key(self.project, self.resolve(), model_id)
        report = {"schema_version": 1, "key": key, "model_id": model_id, "as_of": AS_OF.isoformat(), "metrics": metrics}
        write_json(folder / "report.json", report | {"baselines": {}})
        (folder / "report.html").write_text("<p>report</p>")
        write_json(folder / "files.json", {"schema_version": 1, "files": _listed(folder, "files.json")})
        return folder

    def record(self, *overrides: str, weights: bytes = b"weights", roc_auc: float = 0.7, actor: str = "ada") -> str:
        """A recorded model; its Model ID."""
        resolved = self.resolve(*overrides)
        pack = self.pack(resolved, weights)
        report = self.report(pack.name, roc_auc)
        record_model(self.project, resolved, pack, report, trigger="test", actor=actor)
        return pack.name


def _segment(start: int, end: int, before: str, after: str) -> dict[str, object]:
    return {"start_step": start, "end_step": end, "start_digest": before * 64, "end_digest": after * 64}


def _listed(folder: Path, but: str) -> dict[str, dict[str, object]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != but]
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_bytes(path.read_bytes())}
        for path in files
    }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The project, committed, with no data yet."""
    made = Shop(tmp_path / "shop")
    for name, text in FILES.items():
        made.write(name, text)
    made.git("init", "-q", "-b", "main")
    made.commit("Open the shop")
    return made


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    """The project with all the days that a model as of AS_OF needs."""
    shop.stock()
    return shop
