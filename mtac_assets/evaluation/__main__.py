"""`python -m mtac_assets.evaluation`: evaluate one pack, in a process of its own.

Exit codes: 0 done, 1 a pack is not what was sealed, 2 bad input. Progress goes to standard error, nothing to standard output.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mtac_assets.provenance.files import write_json
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.project import find_project


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        project = find_project(options.project_root)
        resolved = load_resolved(options.recipe, project)
        if resolved.is_language:
            from mtac_assets.evaluation.language.evaluate import evaluate_language

            evaluate_language(project, resolved, options.pack, data_dir=options.data, out=options.out, note=_say)
            return 0
        from mtac_assets.evaluation.evaluate import evaluate

        evaluate(
            project,
            resolved,
            options.pack,
            champion=options.champion,
            data_dir=options.data,
            out=options.out,
            note=_say,
        )
    except MtacError as error:
        if options.errors is not None:
            write_json(options.errors, {"schema_version": 1, "errors": [one.document() for one in error.findings]})
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mtac_assets.evaluation", description="Evaluate one model.")
    add = parser.add_argument
    add("--recipe", type=Path, required=True, help="resolved recipe (JSON)")
    add("--data", type=Path, help="folder with <dataset>/<key>.parquet and its manifests; default: the project's state")
    add("--pack", type=Path, required=True, help="the model's pack")
    add("--champion", type=Path, help="a pack to be scored on the same rows")
    add("--out", type=Path, help="folder for the report; default: the state's reports/<Model ID>")
    add("--project-root", type=Path, help="default: the nearest parent of the current folder with a project")
    add("--errors", type=Path, help="file for the findings, as JSON, where the evaluation fails")
    return parser


if __name__ == "__main__":
    sys.exit(main())
