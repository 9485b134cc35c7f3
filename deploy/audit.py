"""Licences and known vulnerabilities of the pinned stack. `make audit`.

Licences come from the metadata of what is installed, against the list below; a distribution whose licence is not in it, or told
nowhere, fails unless REVIEWED says who looked. Vulnerabilities are pip-audit's to find, where it is installed and reaches the
advisories; where not, that is said plainly, and with --require-advisories it fails.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = re.compile(
    r"\b(mit|bsd|apache|isc|psf|python software foundation|zpl|zope|unlicense|public domain|cc0|0bsd|mpl|mozilla|hpnd|boost|zlib"
    r"|cnri|historical permission|wtfpl|python-2\.0)\b",
    re.IGNORECASE,
)
REFUSED = re.compile(r"\b(a?gpl|general public license|affero|sspl|busl|commercial|proprietary)\b", re.IGNORECASE)
LESSER = re.compile(r"\b(lgpl|lesser general public)\b", re.IGNORECASE)  # linked to, not changed: allowed
REVIEWED: dict[
    str, str
] = {  # whose metadata says too little, or offers more than one licence; read in the distribution itself
    "asyncssh": "EPL-2.0 or GPL, we choose EPL-2.0: used unchanged",
    "grandalf": "GPLv2 or EPL-1.0, we choose EPL-1.0: used unchanged",
    "huey": "MIT, in its LICENSE",
    "pygit2": "GPLv2 with the exception that it may be linked into programs of any licence",
    "skops": "MIT, in its LICENSE",
}


def licence(found: importlib.metadata.Distribution) -> str:
    """What the metadata says: the expression, else classifiers, else the first line of the free text."""
    told = found.metadata
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    classified = [
        line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License ::")
    ]
    classified = [line for line in classified if line != "OSI Approved"]
    if classified:
        return "; ".join(classified)
    lines = str(told.get("License") or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def verdict(name: str, words: str) -> str | None:
    """What is wrong with a licence; None where it is fine. One of several that are offered is enough."""
    if name in REVIEWED:
        return None
    offered = re.split(r"\s+OR\s+|;", words)
    if any(ALLOWED.search(one) or LESSER.search(one) for one in offered):
        return None
    if REFUSED.search(words):
        return f"{name}: {words} is not among the licences that are allowed"
    return f"{name}: {words or 'no licence'} is not known; look at it, then add it to ALLOWED or REVIEWED of deploy/audit.py"


def licences(lock: Path) -> list[str]:
    """Problems of everything that the lock pins and that is installed here."""
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in lock.read_text().splitlines()
        if "==" in line and line[0] != "#"
    }
    installed = {str(one.metadata["Name"]).lower().replace("_", "-"): one for one in importlib.metadata.distributions()}
    here = sorted(pins & installed.keys())
    print(f"licences: {len(here)} of {len(pins)} pinned distributions are installed and were looked at")
    return [found for name in here if (found := verdict(name, licence(installed[name]))) is not None]


def vulnerabilities(lock: Path, required: bool) -> list[str]:
    tool = shutil.which("pip-audit", path=str(Path(sys.executable).parent)) or shutil.which("pip-audit")
    if tool is None:
        words = "pip-audit is not installed: known vulnerabilities were NOT looked up (pipx install pip-audit)"
        print(f"vulnerabilities: {words}")
        return [words] if required else []
    done = subprocess.run(
        [tool, "--requirement", str(lock), "--no-deps", "--disable-pip", "--progress-spinner", "off"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        print("vulnerabilities: none is known")
        return []
    if done.stdout.strip():
        return [f"known vulnerabilities:\n{done.stdout.strip()}"]
    last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    words = f"the advisories could not be asked, known vulnerabilities were NOT looked up: {last}"
    print(f"vulnerabilities: {words}")
    return [words] if required else []


def main() -> int:
    parser = argparse.ArgumentParser(description="Licences and known vulnerabilities of constraints.txt.")
    parser.add_argument(
        "--require-advisories", action="store_true", help="fail where vulnerabilities cannot be looked up"
    )
    options = parser.parse_args()
    lock = ROOT / "constraints.txt"
    problems = [*licences(lock), *vulnerabilities(lock, options.require_advisories)]
    for found in problems:
        print(found, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
