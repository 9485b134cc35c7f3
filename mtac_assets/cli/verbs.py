"""Every verb, in the order in which `mtac --help` lists them. Importing a verb's module registers it on the app."""

# isort: off
from mtac_assets.cli import check, plan, run, backtest  # noqa: F401
from mtac_assets.cli import models, show, history  # noqa: F401
from mtac_assets.cli import reproduce, promote  # noqa: F401
from mtac_assets.cli import schema, up  # noqa: F401
