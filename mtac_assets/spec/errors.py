"""What goes wrong, said once and the same way everywhere: findings, and the exceptions that carry them.

Each floor derives its own error classes from these; nothing else in the system is raised at a user.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: what, where (file:line, field, row), what was expected, and what to do about it."""

    error: str
    where: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.error}\n  expected: {self.expected}\n  remedy:   {self.remedy}"

    def document(self) -> dict[str, str]:
        """As plain JSON values: the entries of `errors` in every command's JSON."""
        return asdict(self)


class MtacError(Exception):
    """Wrong use or bad input, with one finding or more. The command line exits with `exit_code`."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, *findings: Finding) -> None:
        assert findings, "an error without a finding tells its reader nothing"
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings

    def __reduce__(self) -> tuple[type[MtacError], tuple[Finding, ...]]:
        return type(self), self.findings


class SpecError(MtacError):
    """A recipe, dataset, environment, project file or command-line override that cannot be taken as it stands."""


class CheckFailed(MtacError):
    """The input was well-formed and the verdict is no: a contract, a check or a gate failed."""

    exit_code = EXIT_CHECK_FAILED


def raise_all(kind: type[MtacError], findings: Iterable[Finding]) -> None:
    """Raise `kind` with all `findings` at once, or nothing where there are none."""
    collected = tuple(findings)
    if collected:
        raise kind(*collected)
