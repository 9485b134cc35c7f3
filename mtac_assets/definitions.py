"""What Dagster loads: every component under `defs/`."""

from pathlib import Path

import dagster as dg

from mtac_assets.orchestration import project_definitions


@dg.definitions
def defs() -> dg.Definitions:
    return project_definitions(Path(__file__).parent)
