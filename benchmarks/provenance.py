"""What identity and commits cost: a plan with nothing to do against DVC's, recording a model, ten thousand models.

Works on a clone of this repository in a temporary folder, with partitions, pack and report of the right number and size but of
random bytes: what is measured never looks inside them. Every comparison starts processes on both sides, turn by turn.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, interleaved, timed
from mtac_assets.data.readers.state import source_state
from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.digest import canonical_json, sha256_bytes
from mtac_assets.provenance.files import json_bytes
from mtac_assets.provenance.git import MODELS, Repository
from mtac_assets.provenance.identity import declare
from mtac_assets.provenance.keys import report_key
from mtac_assets.provenance.partitions import needed
from mtac_assets.provenance.plan import contract_in_force, plan
from mtac_assets.provenance.record import record_model
from mtac_assets.provenance.store import Pointer, Store
from mtac_assets.spec.load import load_dataset, load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.tracking import registry

ROOT = Path(__file__).resolve().parents[1]
RECIPE, AS_OF = "flight_delays", date(2013, 4, 1)
ROUNDS, MANY_FILES, MANY_MODELS = 9, 20_000, 10_000
PARTITION_BYTES, WEIGHTS_BYTES, CHECKPOINTS = 40_000, 4_000_000, 4
DVC_PIPELINE = """\
stages:
  features:
    cmd: cp data.csv features.csv
    deps: [data.csv]
    outs: [features.csv]
  model:
    cmd: cp features.csv model.bin
    deps: [features.csv]
    outs: [model.bin]
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name:
        folder = Path(name)
        return [*_no_op(folder), *_many_files(folder), *_recording(folder), *_many_models(folder)]


def _no_op(folder: Path) -> list[Figure]:
    """`mtac plan` and `mtac run` with nothing to do, against `dvc repro` with nothing to do."""
    project = clone(folder / "no_op")
    resolved = load_recipe(project, RECIPE, (), AS_OF)
    fill(project, resolved, PARTITION_BYTES)
    pack, report = seal(project, resolved)
    record_model(project, resolved, pack, report, trigger="bench")
    _age(project.state.root)
    assert plan(project, resolved).up_to_date, plan(project, resolved).document()
    pipeline = _dvc_pipeline(folder / "pipeline")
    figures: list[Figure] = []
    for verb in ("plan", "run"):
        asked = mtac(project.root, verb, RECIPE, "--as-of", AS_OF.isoformat(), "--json")
        repeated = process(asked, project.root), process(_dvc("repro"), pipeline)
        ours, theirs, ratio = interleaved(*repeated, rounds=ROUNDS)
        detail = f"{ours:.3f} s against {theirs:.3f} s, {ROUNDS} rounds of processes"
        figures.append(Figure(f"no-op `mtac {verb}` / no-op `dvc repro`", ratio, at_most=0.5, detail=detail))
        figures.append(Figure(f"no-op `mtac {verb}`", ours, "s", at_most=0.5 if verb == "plan" else 1.5))
    return figures


def _many_files(folder: Path) -> list[Figure]:
    """A no-op plan over 20,000 partitions against `dvc status` over 20,000 files."""
    project = _long_project(folder / "long")
    resolved = load_recipe(project, "demand", (), date(2024, 1, 1))
    fill(project, resolved, 200)
    pack, _ = seal(project, resolved, weights=1000)
    subprocess.run(["git", "update-ref", MODELS + pack.name, "HEAD"], cwd=project.root, check=True)
    _age(project.state.root)
    assert plan(project, resolved).up_to_date, plan(project, resolved).document()["steps"]
    tracked = folder / "tracked"
    (tracked / "data").mkdir(parents=True)
    for number in range(MANY_FILES):
        (tracked / "data" / f"{number}.bin").write_bytes(b"%d" % number)
    for arguments in (("init", "-q", "--no-scm"), ("add", "-q", "data"), ("status", "-q")):
        process(_dvc(*arguments), tracked)()
    asked = mtac(project.root, "plan", "demand", "--as-of", "2024-01-01", "--json")
    ours, theirs, ratio = interleaved(process(asked, project.root), process(_dvc("status"), tracked), rounds=5)
    detail = (
        f"{ours:.3f} s for {MANY_FILES:,} partitions, three files each, against {theirs:.3f} s for {MANY_FILES:,} files"
    )
    return [Figure("no-op `mtac plan` / `dvc status`, 20,000 files", ratio, at_most=0.3, detail=detail)]


def _recording(folder: Path) -> list[Figure]:
    """ID, commit, objects, ledger entry, MLflow version and alias of a model whose data was never recorded before, and of the next.

    MLflow's libraries are loaded and its database is there, as a training that has been told to it while it ran leaves them.
    """
    project = clone(folder / "recording")
    registry.aliases(project, RECIPE)
    seconds: list[float] = []

    def record(resolved: ResolvedRecipe, pack: Path, report: Path) -> None:
        record_model(project, resolved, pack, report, trigger="bench")
        ledger.append(
            project, "local", kind="challenger", recipe=RECIPE, model_id=pack.name, actor="bench", reason="recorded"
        )
        registry.register(project, RECIPE, pack.name, {"mtac.status": "challenger"})
        registry.set_alias(project, RECIPE, "challenger", pack.name)

    for seed in range(5):
        resolved = load_recipe(project, RECIPE, (f"training.seed={seed}",), AS_OF)
        if seed == 0:
            fill(project, resolved, PARTITION_BYTES)
        pack, report = seal(project, resolved)
        seconds.append(timed(lambda r=resolved, p=pack, q=report: record(r, p, q)))
    detail = f"{CHECKPOINTS + 1} × {WEIGHTS_BYTES // 1_000_000} MB and 196 partitions; the next model takes {statistics.median(seconds[1:]):.2f} s"
    name = "recording the first model: ID, commit, ledger, MLflow"
    return [Figure(name, seconds[0], "s", at_most=2.0, detail=detail)]


def _many_models(folder: Path) -> list[Figure]:
    """`mtac models` and `mtac show` among ten thousand, each reference a file of its own (the slow case)."""
    project = clone(folder / "many")
    resolved = load_recipe(project, RECIPE, (), AS_OF)
    fill(project, resolved, 100)
    pack, report = seal(project, resolved, weights=1000)
    record_model(project, resolved, pack, report, trigger="bench")
    repository = Repository.at(project.root)
    summary = refs.find_model(repository, pack.name)
    tree = repository.text("rev-parse", f"{summary.commit}^{{tree}}")
    document = json.loads(summary.line())
    commits = repository.text("fast-import", "--quiet", "--done", data=_stream(document, tree)).split()
    commands = "".join(f"create {MODELS}{other_id(number)} {commit}\n" for number, commit in enumerate(commits))
    repository.run("update-ref", "--stdin", data=commands.encode())
    figures: list[Figure] = []
    for verb, arguments in (("models", []), ("show", [pack.name])):
        asked = process(mtac(project.root, verb, *arguments, "--json"), project.root)
        asked()
        seconds = statistics.median(timed(asked) for _ in range(5))
        figures.append(Figure(f"`mtac {verb}` among {MANY_MODELS:,} models", seconds, "s", at_most=1.0))
    return figures


def other_id(number: int) -> str:
    return f"{RECIPE}-{hashlib.sha256(b'%d' % number).hexdigest()[:12]}"


def _stream(document: dict[str, Any], tree: str) -> bytes:
    """Ten thousand commits like one model's, for `git fast-import`; it answers with their ids."""
    parts: list[bytes] = []
    for number in range(1, MANY_MODELS + 1):
        line = canonical_json(
            document | {"model_id": other_id(number - 1), "created_at": f"2024-01-01T00:00:00.{number:06}+00:00"}
        )
        message = b"a model\n\n" + line + b"\n"
        head = b"commit refs/heads/bench\nmark :%d\ncommitter mtac <mtac@localhost> 0 +0000\n" % number
        parts.append(head + b"data %d\n%b\nM 040000 %b \n" % (len(message), message, tree.encode()))
    parts += [b"get-mark :%d\n" % number for number in range(1, MANY_MODELS + 1)]
    return b"".join(parts) + b"done\n"


def clone(target: Path) -> Project:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(target)], check=True)
    return find_project(target, "local")


def _long_project(target: Path) -> Project:
    """A project whose one recipe learns from 20,000 days."""
    files = {
        "pyproject.toml": '[tool.dg.project]\nroot_module = "shop"\n',
        ".gitignore": "/.mtac/\n",
        "shop/__init__.py": "",
        "shop/environments/local.yaml": "schema_version: 1\nname: local\nstate: .mtac\nlimits: {run_seconds: 600}\n"
        'promotion: {branches: ["*"], require_clean: false, require_approval: false}\n',
        "shop/defs/sales/dataset.yaml": "schema_version: 1\nname: sales\n"
        'source: {kind: files, url: incoming, pattern: "{date}.csv", format: csv}\n'
        "partitions: {kind: daily, date: day, start: 1960-01-01, end: 2030-12-31}\nkey: [till, day]\nevent_time: day\n"
        "contract: {schema: contract:schema, max_quarantined: 0.01, rows: {min: 1, max: 10}}\n",
        "shop/defs/sales/contract.py": "def schema():\n    return None\n",
        "shop/defs/demand/recipe.yaml": "schema_version: 1\nname: demand\ndata: {rows: sales}\n"
        f"window: {{train_days: {MANY_FILES - 1}, validate_days: 1, test_days: 1, history_days: 0}}\n"
        'features: {view: "features:view", label: "features:label", numeric: [amount], slices: []}\n'
        "model: {kind: tabular_ensemble, settings: {}}\n"
        "training: {seed: 1, epochs: 1, batch_size: 8, micro_batch_size: 8, optimizer: adamw, learning_rate: 2e-3,\n"
        "  precision: float32, device: cpu, threads: 1, checkpoint_every_steps: 10}\n",
        "shop/defs/demand/features.py": "def view(rows):\n    return rows\n\n\ndef label(rows):\n    return rows\n",
    }
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=b", "-c", "user.email=b", "commit", "-q", "-m", "b"],
    ):
        subprocess.run(["git", *arguments], cwd=target, check=True)
    return find_project(target, "local")


def fill(project: Project, resolved: ResolvedRecipe, size: int) -> None:
    """Partitions of random bytes with manifest, stamp and pointer, for every day that the model needs.

    Their objects are in the store already, as ingest leaves them.
    """
    store = Store.of(project)
    for dataset, keys in needed(project, resolved).everything.items():
        folder = project.state.data / dataset
        folder.mkdir(parents=True, exist_ok=True)
        contract = contract_in_force(project, dataset)
        sources = source_state(load_dataset(project, dataset), keys, project.root)
        for key in keys:
            source = sources[key].document() if key in sources else {"uri": None, "state": None}
            content = secrets.token_bytes(size)
            digest = sha256_bytes(content)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            named = {"schema_version": 1, "dataset": dataset, "key": key, "content_digest": digest}
            manifest = named | {"file_sha256": digest, "file_size": size, "rows": 1, "quarantined_rows": 0}
            (folder / f"{key}.parquet").write_bytes(content)
            (folder / f"{key}.json").write_bytes(
                json_bytes(manifest | {"columns": [], "source": source, "written_at": ""})
            )
            (folder / f"{key}.stamp.json").write_bytes(json_bytes(named | {"contract_digest": contract, "checks": []}))
            pointer = f"outs:\n- md5: {md5}\n  size: {size}\n  hash: md5\n  path: {key}.parquet\n"
            (folder / f"{key}.parquet.dvc").write_text(pointer)
            if size >= PARTITION_BYTES:
                store.put(folder / f"{key}.parquet", Pointer(md5, size, f"{key}.parquet"))


def seal(project: Project, resolved: ResolvedRecipe, weights: int = WEIGHTS_BYTES) -> tuple[Path, Path]:
    """A pack and a report of the right size, under the Model ID that `resolved` has."""
    declaration = declare(project, resolved)
    model_id = declaration.model_id(resolved.name)
    pack, report = project.state.models / model_id, project.state.reports / model_id
    content = secrets.token_bytes(weights)
    documents = {
        "declaration.json": declaration.document(),
        "recipe.json": resolved.document(),
        "digests.json": {
            "schema_version": 1,
            "weights_digest": sha256_bytes(content),
            "tensors": {},
            "initial_digest": "a" * 64,
            "segments": [{"start_step": 0, "end_step": 20, "start_digest": "a" * 64, "end_digest": "b" * 64}],
        },
        "training.json": {"schema_version": 1, "steps": 1},
        "environment.json": {"schema_version": 1, "declared": {}, "observed": {}},
    }
    files = {name: json_bytes(document) for name, document in documents.items()} | {"model.safetensors": content}
    files |= {f"checkpoints/{step}.safetensors": secrets.token_bytes(weights) for step in range(CHECKPOINTS)}
    _write_listed(pack, files, "pack.json")
    metrics = {name: {"value": 0.7, "low": 0.6, "high": 0.8} for name in ("roc_auc", "pr_auc", "log_loss", "brier")}
    page: dict[str, Any] = {"schema_version": 1, "model_id": model_id, "metrics": metrics, "baselines": {}}
    page |= {"key": report_key(project, resolved, model_id), "as_of": str(resolved.as_of), "test": {"rows": 1}}
    _write_listed(report, {"report.json": json_bytes(page), "report.html": secrets.token_bytes(500_000)}, "files.json")
    return pack, report


def _write_listed(folder: Path, files: dict[str, bytes], listing: str) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    listed = {name: {"size": len(content), "sha256": sha256_bytes(content)} for name, content in files.items()}
    (folder / listing).write_bytes(json_bytes({"schema_version": 1, "files": listed}))


def _age(folder: Path) -> None:
    """Make every file an hour old: the state of one written a moment ago proves nothing yet."""
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 3_600_000_000_000))


def _dvc_pipeline(folder: Path) -> Path:
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    (folder / "dvc.yaml").write_text(DVC_PIPELINE)
    for arguments in (("init", "-q", "--no-scm"), ("repro", "-q")):
        process(_dvc(*arguments), folder)()
    return folder


def mtac(root: Path, *arguments: str) -> Sequence[str]:
    del root  # the project is found from the folder that the process starts in
    return [sys.executable, "-m", "mtac_assets.cli", *arguments]


def _dvc(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "dvc", *arguments]


def process(command: Iterable[str], folder: Path) -> Any:
    """A call that runs the command to its end, and fails loudly where it fails."""
    environment = os.environ | {
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc-site"),
        "NO_COLOR": "1",
    }

    def run() -> None:
        done = subprocess.run([*command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr or done.stdout

    return run
