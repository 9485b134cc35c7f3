"""`python -m mtac_assets.monitoring days|file`: score with one model, in a process of its own, by the code of the current folder.

Exit codes: 0 done, 1 a pack is not what was sealed or golden rows differ, 2 bad input. The answer, or the findings, go into the
file `--answer`; progress goes to standard error, nothing to standard output.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mtac_assets.provenance.files import write_json
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.leave import leave
from mtac_assets.spec.project import Project, find_project
from mtac_assets.training.heap import keep_freed_memory
from mtac_assets.training.own_limit import keep_own_limit


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    keep_own_limit()
    keep_freed_memory()
    try:
        project = find_project()
        data_dir = None if options.data == project.state.data else options.data
        document = (_days if options.verb == "days" else _file)(project, data_dir, options)
    except MtacError as error:
        findings = [finding.document() for finding in error.findings]
        failure = {"kind": type(error).__name__, "exit_code": error.exit_code, "errors": findings}
        write_json(options.answer, {"schema_version": 1, **failure})
        return error.exit_code
    write_json(options.answer, {"schema_version": 1, **document})
    return 0


def _days(project: Project, data_dir: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    from mtac_assets.monitoring.predictions import score_days

    done = score_days(
        project, options.model, options.day, pack=options.pack, data_dir=data_dir, out=options.out, note=_say
    )
    return {"days": [{**asdict(day), "path": str(day.path)} for day in done]}


def _file(project: Project, data_dir: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    from mtac_assets.monitoring.by_hand import predict_file

    answer = predict_file(
        project,
        options.model,
        options.input,
        options.out,
        force=options.force,
        pack=options.pack,
        data_dir=data_dir,
        note=_say,
    )
    return {"answer": answer.document()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", required=True, help="Model ID")
    shared.add_argument("--pack", type=Path, required=True, help="the model's pack")
    shared.add_argument("--data", type=Path, required=True, help="folder with <dataset>/<key>.parquet and manifests")
    shared.add_argument("--answer", type=Path, required=True, help="file for the answer or the findings, as JSON")
    parser = argparse.ArgumentParser(prog="python -m mtac_assets.monitoring", description="Score with one model.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    days = verbs.add_parser("days", parents=[shared], help="score days that are ingested")
    days.add_argument("--day", action="append", default=[], help="a partition key; may be given many times")
    days.add_argument("--out", type=Path, required=True, help="folder for <day>.parquet and <day>.json")
    file = verbs.add_parser("file", parents=[shared], help="score the rows of a file")
    file.add_argument("--input", type=Path, required=True, help="raw rows, CSV or Parquet")
    file.add_argument("--out", type=Path, required=True, help="file for the scores, CSV or Parquet")
    file.add_argument("--force", action="store_true", help="replace the output file")
    return parser


if __name__ == "__main__":
    leave(main())
