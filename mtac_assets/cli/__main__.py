"""`python -m mtac_assets.cli`: the same as `mtac`."""

from mtac_assets.cli import main

main()
