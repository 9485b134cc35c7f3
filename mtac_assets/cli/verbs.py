"""Every verb, in the order in which `mtac --help` lists them. Importing a verb's module registers it on the app."""

from mtac_assets.cli import (  # noqa: F401
    demo,
    check,
    plan,
    run,
    backtest,
    models,
    show,
    schema,
    up,
)  # isort: skip
