"""Readers: from where data lies to typed rows of many days in one pass, with the state of their source.

`state`: what tells cheaply whether a source changed. `sources`: all kinds. `package`, `files`, `sql`: one kind each. `delimited`: CSV. `typed`: the
types that a contract declares. `days`: which row belongs to which day.
Does not belong here: what rows are allowed (see `contract`).
"""
