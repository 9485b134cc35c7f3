"""The contract of a dataset: what its rows and its days must be like, and the stamp that says they were.

`columns`: names and types. `source`: contract.py as a file, and its digest. `load`: contract.py as code. `rows`, `days`: the checks. `judge`: the verdict
over many days at once. `stamp`: what training insists on; it needs neither pandas nor pandera.
"""
