"""A deployment's PostgreSQL: addresses without passwords, the password from its file, and one question at a time.

What Dagster and MLflow keep there is theirs (`orchestration.databases`, MLflow's own migrations).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from mtac_assets.spec.environment import Postgres

CONNECT_SECONDS = 5
MAINTENANCE = "postgres"  # there in every server
ANSWER_SECONDS = 10  # of one question asked here
LOCK_SECONDS = 60  # what Dagster and MLflow ask may take long; but nobody waits for ever for what another holds
OPTIONS = {"connect_timeout": CONNECT_SECONDS, "application_name": "mtac"}
PASSWORD_VARIABLE = "PGPASSWORD"  # what libpq reads; given only to a process that cannot be told of a file


class SecretMissing(MtacError):
    """A secret's file is not there, cannot be read, or is empty."""


class DatabaseDown(MtacError):
    """PostgreSQL does not take a connection."""

    exit_code = 1


def url(postgres: Postgres, database: str) -> str:
    """Address of one database for SQLAlchemy, with the driver named: without, SQLAlchemy 2.1 wants another one than Dagster and
    MLflow bring. It holds no password, so it may be shown and stored."""
    options = urlencode({**OPTIONS, "options": f"-c lock_timeout={LOCK_SECONDS}s"}, quote_via=quote)
    return f"postgresql+psycopg2://{quote(postgres.user)}@{postgres.host}:{postgres.port}/{quote(database)}?{options}"


def password(file: str) -> str:
    """The secret in `file`, without the newline that editors put at its end. Raises SecretMissing."""
    try:
        content = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _secret_missing(file, f"the secret cannot be read: {getattr(error, 'strerror', None) or error}") from None
    found = content.removesuffix("\n").removesuffix("\r")
    if not found or "\n" in found:
        raise _secret_missing(file, "the secret is empty" if not found else "the secret has more than one line")
    return found


@contextmanager
def connected(
    postgres: Postgres, database: str, *, autocommit: bool = False, seconds: float = ANSWER_SECONDS
) -> Iterator[connection]:
    """A connection for the block, committed at its end or at each command. Each may take so many seconds; 0: as long as it will.

    Raises SecretMissing, and DatabaseDown where nobody answers, or not in time.
    """
    where = f"{postgres.host}:{postgres.port}/{database}"
    try:
        import psycopg2
    except ModuleNotFoundError:
        remedy = "pip install -c constraints.txt -e '.[server]', or use the image"
        raise DatabaseDown(
            Finding("PostgreSQL's driver is not installed", where, "the extra `server`", remedy)
        ) from None
    try:
        opened = psycopg2.connect(
            host=postgres.host,
            port=postgres.port,
            user=postgres.user,
            dbname=database,
            password=password(postgres.password_file),
            options=f"-c statement_timeout={int(seconds * 1000)}",
            **OPTIONS,
        )
    except psycopg2.OperationalError as error:
        said = (str(error).strip().splitlines() or ["no answer"])[0]
        raise DatabaseDown(
            Finding(
                f"PostgreSQL does not take a connection: {said}",
                where,
                "the databases of server.postgres, and the role's password in its file",
                "start PostgreSQL, and compare its log with server.postgres of the environment",
            )
        ) from None
    opened.autocommit = autocommit
    try:
        yield opened
        if not autocommit:
            opened.commit()
    except psycopg2.errors.QueryCanceled:
        look = "select pid, application_name, query from pg_stat_activity where state <> 'idle'"
        raise DatabaseDown(
            Finding(
                f"the database did not answer within {seconds:g} s",
                where,
                "an answer: somebody holds a lock, or its machine is overloaded",
                f"ask it who is at work ({look}), and end what hangs by pg_terminate_backend(pid)",
            )
        ) from None
    finally:
        opened.close()


def make_missing(postgres: Postgres) -> list[str]:
    """Make the databases that are not there, which the role must be allowed to; their names. Raises DatabaseDown."""
    with connected(postgres, MAINTENANCE) as opened:
        known = {name for (name,) in asked(opened, "select datname from pg_database")}
    missing = [name for name in (postgres.dagster_database, postgres.mlflow_database) if name not in known]
    for name in missing:
        with connected(postgres, MAINTENANCE, autocommit=True, seconds=0) as opened, opened.cursor() as cursor:
            cursor.execute(
                f'create database "{name}"'
            )  # a name of letters, digits and _: the environment's schema says so
    return missing


def asked(open_connection: connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows that a query gives."""
    with open_connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def _secret_missing(file: str, error: str) -> SecretMissing:
    remedy = "write it there, readable for the services' user alone (docs/deploy.md, Secrets)"
    return SecretMissing(Finding(error, file, "a file with the password on one line", remedy))
