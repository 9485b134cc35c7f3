"""A query through SQLAlchemy. The database's address comes from an environment variable and is recorded nowhere.

With daily partitions the query is bounded by :start and :end (excluded) and asked once for each run of consecutive days. What
a query returned yesterday proves nothing about today, so its state cannot be told without asking.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import DAYS_PER_BLOCK, whole_source
from mtac_assets.data.readers.local import WHOLE, SourceError
from mtac_assets.data.readers.rows import Block, TypedTable, refuse_all
from mtac_assets.data.readers.state import query_source
from mtac_assets.data.readers.tables import schema_of
from mtac_assets.data.readers.typed import conform
from mtac_assets.data.readers.uri import scrub
from mtac_assets.spec.dataset import Dataset, SqlSource
from mtac_assets.spec.errors import Finding

_ROWS_PER_FETCH = 50_000


def blocks(dataset: Dataset, spec: SqlSource, keys: Sequence[str], columns: Columns) -> Iterator[Block]:
    """Rows of `keys`, one query for each run of at most a hundred consecutive days."""
    found = query_source(spec)
    for days in _runs(keys):
        sources = dict.fromkeys(days, found)
        try:
            yield from whole_source(dataset, _query(spec, days, columns, found.uri), days, sources, found.uri)
        except SourceError as error:
            yield refuse_all(days, error.findings, schema_of(columns), sources)


def _runs(keys: Sequence[str]) -> Iterator[list[str]]:
    run: list[str] = []
    for key in sorted(keys):
        follows = run and key != WHOLE and date.fromisoformat(key) - date.fromisoformat(run[-1]) == timedelta(days=1)
        if run and (not follows or len(run) == DAYS_PER_BLOCK):
            yield run
            run = []
        run.append(key)
    if run:
        yield run


def _query(spec: SqlSource, days: Sequence[str], columns: Columns, where: str) -> TypedTable:
    import sqlalchemy
    import sqlalchemy.exc

    url = os.environ.get(spec.url_env)
    if not url:
        raise SourceError(
            Finding(f"{spec.url_env} is not set", where, "the database's address in that environment variable",
                    f"export {spec.url_env}=dialect://user:password@host/database")
        )  # fmt: skip
    bounds: dict[str, Any] = {}
    if days[0] != WHOLE:
        bounds = {"start": date.fromisoformat(days[0]), "end": date.fromisoformat(days[-1]) + timedelta(days=1)}
    try:
        engine = sqlalchemy.create_engine(url)
        try:
            table = _fetch(engine, spec.query, bounds, where)
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        said = scrub(str(error.__cause__ or error).splitlines()[0], url)
        raise SourceError(
            Finding(f"the query fails: {said}", where, "rows", f"see the query, and the address in {spec.url_env}")
        ) from None
    return conform(table, columns, where, text_is_raw=True)


def _fetch(engine: Any, query: str, bounds: dict[str, Any], where: str) -> pa.Table:
    import sqlalchemy

    batches: list[list[tuple[Any, ...]]] = []
    with engine.connect().execution_options(stream_results=True) as connection:
        result = connection.execute(sqlalchemy.text(query), bounds)
        names = list(result.keys())
        while rows := result.fetchmany(_ROWS_PER_FETCH):
            batches.append([tuple(row) for row in rows])
    arrays = []
    for place, name in enumerate(names):
        values = [row[place] for rows in batches for row in rows]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SourceError(
                Finding(f"column {name!r} mixes types: {str(error).splitlines()[0]}", where, "one type a column",
                        "CAST it in the query")
            ) from None  # fmt: skip
    return pa.table(arrays, names=names)
