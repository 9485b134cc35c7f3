"""`mtac plan` waits for these imports: nothing heavy among them, and little in all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = (
    "pandas",
    "numpy",
    "pyarrow",
    "torch",
    "dagster",
    "mlflow",
    "pydantic.deprecated",
    "difflib",
)


def test_loading_a_recipe_imports_nothing_heavy(root: Path):
    script = (
        "import sys\n"
        "from datetime import date\n"
        "from mtac_assets.spec.load import load_recipe\n"
        "from mtac_assets.spec.project import find_project\n"
        "load_recipe(find_project(), 'flight_delays', as_of=date(2013, 3, 1))\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
