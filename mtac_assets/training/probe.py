"""The determinism probe: a few micro-steps in two processes, and the first tensor and operation in which they differ. No torch here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.provenance.files import read_json
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.child import variables
from mtac_assets.training.divergence import Divergence, first_divergence
from mtac_assets.training.launch import end, failure, start, trainer_command


@dataclass(frozen=True)
class ProbeResult:
    steps: int
    compared: int
    divergence: Divergence | None

    @property
    def deterministic(self) -> bool:
        return self.divergence is None

    def document(self) -> dict[str, Any]:
        found = None if self.divergence is None else vars(self.divergence)
        return {"schema_version": 1, "steps": self.steps, "compared": self.compared, "divergence": found}


def probe(project: Project, resolved: ResolvedRecipe, steps: int = 4) -> ProbeResult:
    """Run the first `steps` steps twice, at once, in two processes. Raises what a training would where they cannot run."""
    with tempfile.TemporaryDirectory(prefix="mtac-probe-") as temporary:
        outs = [Path(temporary) / name for name in ("first", "second")]
        commands = [trainer_command(project, resolved, out, "probe", "--trace-steps", str(steps)) for out in outs]
        return compare_runs(commands, outs, project.root, variables(project, resolved), steps)


def compare_runs(
    commands: Sequence[Sequence[str]], outs: Sequence[Path], root: Path, environment: dict[str, str], steps: int
) -> ProbeResult:
    """Start both `commands`, each of which writes `trace.json` into its folder of `outs`, and compare what they wrote."""
    children = [start(command, root, environment) for command in commands]
    try:
        codes = [child.wait() for child in children]
    except BaseException:
        for child in children:
            end(child)
        raise
    for code, out in zip(codes, outs, strict=True):
        if code != 0:
            raise failure(out, "probe", code)
    first, second = (read_json(out / "trace.json")["entries"] for out in outs)
    return ProbeResult(steps, len(first), first_divergence(first, second))
