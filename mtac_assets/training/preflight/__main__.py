"""`python -m mtac_assets.training.preflight`: check one recipe in a process of its own, for callers that must not load torch.

Writes to --out as JSON: the results (`checks`), or why they could not be made (`findings`). Exit codes: 0 all checks passed, 1 some
did not, 2 they could not be made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec.collector import paused
from mtac_assets.spec.errors import EXIT_CHECK_FAILED, MtacError
from mtac_assets.spec.leave import leave
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.project import find_project
from mtac_assets.training.preflight.facts import facts_of
from mtac_assets.training.preflight.no_compiler import keep_compiler_out
from mtac_assets.training.preflight.registry import run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mtac_assets.training.preflight")
    add = parser.add_argument
    add("--recipe", type=Path, required=True, help="resolved recipe (JSON)")
    add("--workers", type=int, default=1)
    add("--device", help="what it is checked for; default: this machine's CPU, or the environment's launcher.gpu")
    add("--training-set", type=Path, help="folder of the training set, where there is one")
    add("--out", type=Path, required=True, help="file for the results")
    options = parser.parse_args(arguments)
    try:
        project = find_project()
        manifest = read_json(options.training_set / "manifest.json") if options.training_set is not None else None
        facts = facts_of(
            project,
            load_resolved(options.recipe, project),
            workers=options.workers,
            device=options.device,
            manifest=manifest,
        )
    except MtacError as error:
        print(error, file=sys.stderr, flush=True)
        findings = [finding.document() for finding in error.findings]
        write_json(options.out, {"schema_version": 1, "checks": [], "findings": findings})
        return error.exit_code
    results = run(facts)
    checks = [result.document() for result in results]
    write_json(options.out, {"schema_version": 1, "checks": checks, "findings": []})
    return 0 if all(result.passed for result in results) else EXIT_CHECK_FAILED


if __name__ == "__main__":
    keep_compiler_out()
    with paused():  # all that is made here stays to the end
        code = main()
    leave(code)
