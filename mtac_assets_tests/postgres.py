"""A real PostgreSQL of the test's own on loopback: password required, both databases made, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mtac_assets.services.database import CONNECT_SECONDS
from mtac_assets.spec.environment import Postgres as Settings
from mtac_assets_tests.free_ports import free_port

PASSWORD = "of no use elsewhere: %/@"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
USER = "postgres"  # the server refuses to run as root


@dataclass
class Postgres:
    """The server: `settings` is what an environment says of it. It can be killed, and started on the same files."""

    folder: Path
    settings: Settings
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, options: Mapping[str, str] | None = None) -> None:
        """Up and answering."""
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.settings.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            **(options or {}),
        }
        arguments = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self.process = started = subprocess.Popen[bytes](
            [program("postgres"), "-D", str(self.folder / "data"), *arguments],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **identity(),
        )
        ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.settings.port)]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert started.poll() is None, (self.folder / "log").read_text()
            subprocess.run(["sleep", "0.1"], check=True)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As a crash does: nothing is written any more."""
        if self.process is not None:
            backends = psutil.Process(self.process.pid).children(recursive=True)
            for one in (self.process, *backends):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            self.process.wait()
            psutil.wait_procs(backends)
            self.process = None

    def ask(self, command: str, database: str = "postgres") -> str:
        """What `psql` says to one command."""
        asking = [program("psql"), "-h", "127.0.0.1", "-p", str(self.settings.port), "-U", self.settings.user]
        done = subprocess.run(
            [*asking, "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc", command],
            env={**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def postgres(port: int | None = None, *, databases: Sequence[str] = ("dagster", "mlflow")) -> Iterator[Postgres]:
    """A server for the block."""
    folder = Path(tempfile.mkdtemp(prefix="mtac-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    settings = Settings(host="127.0.0.1", port=port or free_port(), user="mtac", password_file=str(secret))
    made = Postgres(folder, settings)
    if os.geteuid() == 0:
        owner = pwd.getpwnam(USER)
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    try:
        access = ["--auth=scram-sha-256", f"--pwfile={secret}", f"--username={settings.user}"]
        subprocess.run(
            [program("initdb"), "-D", str(folder / "data"), "-E", "UTF8", "--no-sync", *access],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **identity(),
        )
        made.start()
        for database in databases:
            made.ask(f"create database {database}")
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


def identity() -> dict[str, Any]:
    """Arguments of a process that must not be root: PostgreSQL refuses to."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs."""
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(INSTALLED)), os.environ["PATH"]]))
    assert found is not None, f"{name} is not installed: apt-get install postgresql"
    return found
