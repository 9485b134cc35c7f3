"""Resolve the whole stack in a fresh virtual environment and pin it in constraints.txt.

Run by `make constraints`. torch stays where pyproject.toml's range and the present pin put it: an open range lets pip
choose a build of several gigabytes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# The whole stack, pinned. Written by `make constraints`; do not edit by hand.
# antlr4, hydra-core and omegaconf are held together so that DVC and Dagster's asset selections both work.
"""
# What the resolver must not move by itself, with the reason beside it.
HELD = {
    "torch": "torch==2.13.0",  # an open range fetches the CUDA build
    "dagster": "dagster==1.13.27",  # all dagster packages pin one another
    "pandas": "pandas<3",  # MLflow and pandera
    "pip": "",
    "setuptools": "",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        held = [pin for pin in HELD.values() if pin]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *held, f"{ROOT}[dev]"], check=True)
        subprocess.run([str(python), "-m", "pip", "check"], check=True)
        frozen = subprocess.run(
            [str(python), "-m", "pip", "freeze"], check=True, capture_output=True, text=True
        ).stdout.splitlines()
    pins = sorted(
        (
            line.split("+")[0]
            for line in frozen
            if "==" in line and line.split("==")[0].lower() not in ("pip", "setuptools")
        ),
        key=str.lower,
    )
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(pins) + "\n")
    print(f"{len(pins)} pins written to constraints.txt", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
