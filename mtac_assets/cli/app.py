"""The typer application: which verbs there are, and how errors become exit codes.

Exit codes: 0 good, 1 a gate or check failed, 2 wrong use or bad input, 130 interrupted.
"""

from __future__ import annotations

import typer

from mtac_assets.cli import output
from mtac_assets.cli.left_open import close_left_open
from mtac_assets.spec.errors import EXIT_BAD_INPUT, Finding, MtacError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="mtac",
    help="Model Training as Code: every model is a Git commit that rebuilds it bit for bit.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    import mtac_assets.cli.verbs  # noqa: F401  registers every verb on `app`

    output.reset("--json" in arguments)
    close_left_open(arguments)
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments or ["--help"], prog_name="mtac", standalone_mode=False)
    except MtacError as error:
        output.report_findings(error.findings, failed_check=error.exit_code != EXIT_BAD_INPUT)
        return error.exit_code
    except typer.TyperException as error:
        verb = arguments[0] if arguments and arguments[0] in getattr(command, "commands", {}) else None
        where = f"mtac {verb}" if verb else "mtac"
        finding = Finding(error.format_message(), where, "a command as `--help` shows it", f"{where} --help")
        output.report_findings([finding], failed_check=False)
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        output.note("interrupted")
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0
