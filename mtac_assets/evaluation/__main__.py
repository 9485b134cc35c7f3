"""`python -m mtac_assets.evaluation`: evaluate one pack, in a process of its own.

With `--listen` it reads rows and fits baselines first, then waits on standard input for one line of JSON with `pack`, `out`
and `errors` (and `champion`): what can be done while the model is trained is done by then. It ends where that is closed.
With `--fit` it fits the baselines into the folder `--kept`, and ends.

Exit codes: 0 done, 1 a pack is not what was sealed, 2 bad input. Progress goes to standard error, nothing to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.leave import leave
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.project import find_project
from mtac_assets.training.heap import keep_freed_memory
from mtac_assets.training.own_limit import keep_own_limit


def main(arguments: list[str] | None = None) -> int:
    # Called with arguments, this process does one order after the other (`training.nursery`): what was used before was for those.
    before = Usage() if arguments is None else Usage.so_far(0.0)
    options = _parser().parse_args(arguments)
    keep_own_limit()
    keep_freed_memory()
    try:
        project = find_project(options.project_root)
        resolved = load_resolved(options.recipe, project)
        if options.documents is not None:
            from mtac_assets.evaluation.language.documents import score_documents

            score_documents(resolved, options.pack, options.tokens, options.documents, options.out, _say)
            return 0
        if resolved.is_language:
            from mtac_assets.evaluation.language.evaluate import evaluate_language

            evaluate_language(
                project, resolved, options.pack, data_dir=options.data, out=options.out, note=_say, before=before
            )
            return 0
        if options.judge:
            from mtac_assets.evaluation.judged import judge

            judge(
                project,
                resolved,
                options.pack,
                baselines=options.baseline,
                champion=options.champion,
                data_dir=options.data,
                out=options.out,
                note=_say,
                kept=options.kept,
            )
            return 0
        from mtac_assets.evaluation.beforehand import look
        from mtac_assets.evaluation.evaluate import evaluate

        beforehand = None
        if options.listen or options.fit:
            beforehand = look(project, resolved, options.data, _say, options.kept)
            if options.fit:
                return 0
            line = sys.stdin.readline()
            if not line:
                return 0
            for name, value in json.loads(line).items():
                setattr(options, name, Path(value))
        evaluate(
            project,
            resolved,
            options.pack,
            champion=options.champion,
            data_dir=options.data,
            out=options.out,
            note=_say,
            beforehand=beforehand,
            before=before,
            kept=options.kept,
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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pack", type=Path, help="the model's pack")
    what.add_argument("--listen", action="store_true", help="be told the pack on standard input, when it is there")
    what.add_argument("--fit", action="store_true", help="only fit the baselines, into the folder of --kept")
    add("--judge", action="store_true", help="no report but the numbers that gates ask for")
    add("--baseline", action="append", default=[], help="with --judge: a baseline to fit; may be given many times")
    add("--kept", type=Path, help="a folder that keeps the scores of baselines: a replay's")
    add("--champion", type=Path, help="a pack to be scored on the same rows")
    add("--documents", type=Path, help="a training set of texts: score its held-out documents, and write them to --out")
    add("--tokens", type=Path, help="with --documents: a training set with the pack's own tokeniser")
    add("--out", type=Path, help="folder for the report; default: the state's reports/<Model ID>")
    add("--project-root", type=Path, help="default: the nearest parent of the current folder with a project")
    add("--errors", type=Path, help="file for the findings, as JSON, where the evaluation fails")
    return parser


if __name__ == "__main__":
    leave(main())
