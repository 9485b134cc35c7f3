"""`mtac doctor`: is this environment fit to work in, and what is to be done where it is not?"""

from __future__ import annotations

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import CheckFailed, raise_all

COLOURS = {"good": "green", "worrying": "yellow", "bad": "bold red"}


@app.command()
def doctor(json: Json = False) -> int:
    """Examine the environment end to end: versions, state, disk, clock, Git, ledger, remote, Dagster, MLflow, ports."""
    from mtac_assets.doctor.examine import examine
    from mtac_assets.spec.project import find_project

    project = find_project()
    parts = []
    for part in examine(project):
        parts.append(part)
        if not json:
            output.console().print(
                f"[{COLOURS[part.state]}]{part.state:<9}[/] {part.name:<9} {part.says}", soft_wrap=True
            )
            for finding in part.worries:
                output.console().print(f"          {finding.error}\n          remedy: {finding.remedy}", soft_wrap=True)
    problems = [finding for part in parts for finding in part.problems]
    if json:
        output.emit(
            {
                "schema_version": 1,
                "environment": project.environment.name,
                "fit": not problems,
                "parts": [part.document() for part in parts],
            }
        )
        return CheckFailed.exit_code if problems else 0
    raise_all(CheckFailed, problems)
    return 0
