"""Every verb, in the order in which `mtac --help` lists them. Importing a verb's module registers it on the app."""

# isort: off
from mtac_assets.cli import demo, check, plan, run, backtest, seeds, replay, probe  # noqa: F401
from mtac_assets.cli import models, cost, show, diff, verify  # noqa: F401
from mtac_assets.cli import mix, samples, where_used  # noqa: F401
from mtac_assets.cli import reproduce, promote, history, predict  # noqa: F401
from mtac_assets.cli import share, backup, schema, doctor, up, service  # noqa: F401
