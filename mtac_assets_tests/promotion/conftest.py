"""Where the tests of this floor find the trained project: its fixtures are everyone's (`mtac_assets_tests/trained.py`)."""

from mtac_assets_tests.trained import AS_OF, LATER, VARIABLES, Line

__all__ = ["AS_OF", "LATER", "VARIABLES", "Line"]
