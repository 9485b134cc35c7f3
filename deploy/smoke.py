"""Does every shipped recipe still train? A first step with a finite loss, and one batch learnt by heart. `make smoke`.

Works in a clone of the commit in a temporary folder, so that the models it makes are recorded nowhere else. A recipe that is not in
SMALL fails: whoever ships one says here what of it is small enough.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATED = ("window.validate_days=1", "window.test_days=1")
UNWATCHED = ("triggers.drift=null", "triggers.performance=null")  # for them so few days are too few
SMALL: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "flight_delays": ("2013-02-01", (*DATED, *UNWATCHED, "window.train_days=2", "training.epochs=1")),
    "pydocs_lm": (
        None,
        (
            *("mix.tokens=4096", "mix.sequence_length=64", "mix.stages=[]", "mix.sources.library.filters=[]"),
            *("training.batch_size=16", "tokenizer.vocabulary_size=512"),
        ),
    ),
}
FALLS_TO = 0.5  # of the first loss, after so many steps on one and the same batch
STEPS = 150
BY_HEART = """
import json, sys
from datetime import date
from mtac_assets.data.features import materialise
from mtac_assets.data.ingest import ingest
from mtac_assets.provenance.partitions import needed
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import find_project
from mtac_assets.training.process import require_variables
name, as_of, steps, *overrides = sys.argv[1:]
project = find_project()
resolved = load_recipe(project, name, tuple(overrides), date.fromisoformat(as_of) if as_of else None)
require_variables(resolved.recipe.training)
for dataset, keys in needed(project, resolved).everything.items():
    for day in ingest(project, dataset, keys).days:
        assert day.status != "failed", [str(finding) for finding in day.findings]
if not resolved.is_language:
    materialise(project, resolved, resolved.windows().features)
from mtac_assets.training.begin import begin
from mtac_assets.training.inputs import gather
from mtac_assets.training.loop import train_step
training = resolved.recipe.training
flat = training.schedule.model_copy(update={"kind": "constant", "warmup_share": 0.0})
beginning = begin(gather(project, resolved, project.state.data, None))
beginning.state.model.train()
first = train_step(beginning.state, beginning.task, training, 0)[0]
eager = training.model_copy(update={"learning_rate": 3e-3, "schedule": flat})
losses = [train_step(beginning.state, beginning.task, eager, 0)[0] for _ in range(int(steps))]
print(json.dumps([first, *losses]))
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mtac-smoke-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        recipes = sorted(path.parent.name for path in (clone / "mtac_assets" / "defs").glob("*/recipe.yaml"))
        failed = [problem for name in recipes if (problem := _problem(clone, name)) is not None]
    for problem in failed:
        print(problem, file=sys.stderr)
    return 1 if failed else 0


def _problem(clone: Path, name: str) -> str | None:
    """What is wrong with one recipe; None where it trains."""
    if name not in SMALL:
        return f"{name}: not in SMALL of deploy/smoke.py; say there what of it is small enough to try"
    as_of, overrides = SMALL[name]
    done = _python(clone, "-c", BY_HEART, name, as_of or "", str(STEPS), *overrides)
    if done.returncode != 0:
        return f"{name}: {done.stderr or done.stdout}"
    losses = json.loads(done.stdout.splitlines()[-1])
    first, last = losses[0], losses[-1]
    print(f"{name}: the first step has loss {first:.4f}; the same batch {STEPS} times: {last:.4f}")
    if not all(math.isfinite(loss) for loss in losses):
        return f"{name}: a loss is not finite: {[loss for loss in losses if not math.isfinite(loss)][:3]}"
    if last >= FALLS_TO * first:
        return f"{name}: one batch is not learnt by heart: {first:.4f} falls to {last:.4f}, not to {FALLS_TO} of it"
    return None


def _python(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(clone), "APP_ENV": "local"}
    environment.pop("MTAC_STATE", None)
    return subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
