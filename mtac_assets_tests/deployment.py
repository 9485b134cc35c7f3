"""deploy/compose.yaml as processes of this machine: each service by its own command, environment and health check.

What an engine for containers would do is done here: variables interpolated, paths of volumes and secrets, ports and host names mapped
to this machine's, the commands started in the order of their conditions, and started again after a crash. What is mapped must
stand in the files exactly as the compose file has it, so a drift between the two fails. Images are what the Dockerfile
says: its variables, its working folder, the folders that its own script lays out. Isolation alone is not shown here: users, read-only
file systems and networks.
"""

from __future__ import annotations

import base64
import compileall
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.postgres import identity, program

COMPOSE = ROOT / "deploy" / "compose.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
DIGEST = "sha256:" + "0123456789abcdef" * 4
REFERENCE = f"registry.example.org/mtac@{DIGEST}"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_HELD_BACK = ("APP_ENV", "MTAC_", "DAGSTER_", "MLFLOW_", "PG")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}` as compose reads them."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if variables.get(name):
            return variables[name]
        assert kind != "?", f"{name} must be set: {rest}"
        return rest if kind == "-" else ""

    return _VARIABLE.sub(value, text)


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables and merge keys resolved."""
    return yaml.safe_load(interpolate(COMPOSE.read_text(), variables))


def dockerfile_settings() -> tuple[dict[str, str], str]:
    """ENV and WORKDIR of the image that runs."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    text = text[text.index(" AS base") :]
    (variables,) = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    (folder,) = re.findall(r"^WORKDIR (.+)$", text, re.MULTILINE)
    assert "ENTRYPOINT" not in text, "commands are whole"
    return dict(pair.split("=", 1) for pair in variables.split()), folder


def replace_once(text: str, old: str, new: str) -> str:
    """`text` with the one place that reads `old` changed."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times, not once, in:\n{text}"
    return text.replace(old, new)


@dataclass
class Deployment:
    """All services over one folder. `start` brings one up, `kill` takes it down as a crash does."""

    folder: Path
    source: Path
    environment: str = "staging"
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    commit: str = ""  # of the image, once it is built

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)
        variables = {
            "MTAC_IMAGE_REFERENCE": REFERENCE,
            "MTAC_IMAGE_EXPECTED": DIGEST,
            "MTAC_ENVIRONMENT": self.environment,
            "MTAC_SECRETS": str(self.folder / "secrets"),
            "MTAC_HTTPS_PORT": str(free_port()),
        }
        document = compose(variables)
        self.services = document["services"]
        self.secrets = {name: Path(entry["file"]) for name, entry in document["secrets"].items()}
        for name in ("postgres", "code", "webserver", "viewer", "mlflow"):
            self.ports[name] = free_port()
        ((published, _),) = [each.split(":") for each in self.services["proxy"]["ports"]]
        self.ports["proxy"] = int(published)
        self.image_variables, self.workdir = dockerfile_settings()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports['proxy']}"

    @property
    def project(self) -> Project:
        """The project as the image has it, in the deployment's environment."""
        return find_project(self._map(self.workdir), self.environment)

    def build(self) -> None:
        """The environment's file mapped and committed, then laid out as the Dockerfile does."""
        package = find_project(self.source).package_folder
        text = (ROOT / "mtac_assets" / "environments" / f"{self.environment}.yaml").read_text()
        text = replace_once(text, "page: https://mtac.example.org", f"page: {self.url}\n  listen: 127.0.0.1")
        text = replace_once(text, "host: postgres\n", f"host: 127.0.0.1\n    port: {self.ports['postgres']}\n")
        for name in ("code", "webserver", "viewer", "mlflow"):
            own = re.search(rf"{name}: {{host: {name}, port: (\d+)}}", text)
            assert own is not None, name
            text = replace_once(text, own[0], f"{name}: {{host: 127.0.0.1, port: {self.ports[name]}}}")
        text = text.replace("/srv/mtac", str(self._map("/srv/mtac"))).replace(
            "/run/secrets", str(self._map("/run/secrets"))
        )
        (package / "environments" / f"{self.environment}.yaml").write_text(text)
        shutil.copyfile(ROOT / "constraints.txt", self.source / "constraints.txt")
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run([*git, "branch", "-qM", "main"], cwd=self.source, check=True)
        subprocess.run([*git, "add", "-A"], cwd=self.source, check=True)
        subprocess.run([*git, "commit", "-qm", "the environment of this deployment"], cwd=self.source, check=True)
        (repository,) = re.findall(r"^ARG REPOSITORY=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
        arguments = [
            self.source,
            self._map(self.workdir),
            self._map(self.image_variables["MTAC_IMAGE"]),
            self._map(repository),
        ]
        done = subprocess.run([ROOT / "deploy" / "lay_out.sh", *arguments], check=True, capture_output=True, text=True)
        assert "-m compileall" in DOCKERFILE.read_text(), "the image holds the engine's byte code, and writes none"
        compileall.compile_dir(ROOT / "mtac_assets", quiet=1)
        self._map("/srv/mtac").mkdir(parents=True, exist_ok=True)
        self.commit = done.stdout.strip()

    def make_secrets(self, people: Mapping[str, Mapping[str, str]], password: str) -> None:
        """As docs/deploy.md says: a password, a certificate, and log-ins by file."""
        folder = self.secrets["postgres_password"].parent
        folder.mkdir(exist_ok=True)
        self.secrets["postgres_password"].write_text(password + "\n")
        request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        files = ["-keyout", str(self.secrets["tls_key"]), "-out", str(self.secrets["tls_certificate"])]
        subprocess.run(
            ["openssl", *request.split(), *files],
            check=True,
            capture_output=True,
        )
        for name, entries in people.items():
            lines = []
            for person, word in entries.items():
                hashing = ["openssl", "passwd", "-6", "-stdin"]
                done = subprocess.run(hashing, input=word, check=True, capture_output=True, text=True)
                lines.append(f"{person}:{done.stdout.strip()}\n")
            self.secrets[name].write_text("".join(lines))

    def start_all(self) -> float:
        """Every service in the order of its conditions; seconds until all health checks pass."""
        began = time.monotonic()
        waiting = dict(self.services)
        while waiting:
            for name, service in list(waiting.items()):
                conditions = service.get("depends_on", {})
                if all(self._holds(other, entry["condition"]) for other, entry in conditions.items()):
                    self.start(name)
                    del waiting[name]
            assert time.monotonic() - began < 240, f"not started: {sorted(waiting)}"
            time.sleep(0.2)
        for name, service in self.services.items():
            if "healthcheck" in service:
                self.until_healthy(name)
        return time.monotonic() - began

    def start(self, name: str) -> None:
        """One service, its output in a log of its own."""
        command, folder, environment, identified = self._started(name)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen[bytes](
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True, **identified
            )

    def kill(self, name: str) -> None:
        """The end of a container: nothing that it started is left."""
        process = self.processes.pop(name)
        found = psutil.Process(process.pid)
        for one in [*found.children(recursive=True), found]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()

    def crash(self, name: str) -> None:
        """Killed, and started again by its restart policy."""
        assert self.services[name]["restart"] == "unless-stopped"
        self.kill(name)
        self.start(name)

    def healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        check = self.services[name]["healthcheck"]["test"]
        assert check[0] == "CMD"
        return self.execute(name, *check[1:]).returncode == 0

    def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker compose exec NAME COMMAND`."""
        arguments, folder, environment, identified = self._command(name, list(command))
        return subprocess.run(
            arguments,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **identified,
        )

    def ask(
        self, path: str, log_in: tuple[str, str] | None = None, body: Any = None, seconds: float = 30, **headers: str
    ) -> tuple[int, bytes]:
        """Status and content of one request through the proxy."""
        if log_in is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(log_in).encode()).decode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body is not None else None, headers
        )
        context = ssl.create_default_context(cafile=str(self.secrets["tls_certificate"]))
        https = urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
        try:
            with opener.open(request, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def until_healthy(self, name: str, seconds: float = 120.0) -> None:
        began = time.monotonic()
        while not self.healthy(name):
            process = self.processes[name]
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.log(name)}"
            assert time.monotonic() - began < seconds, f"{name} is not healthy: {self.log(name)}"
            time.sleep(0.5)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-20000:]

    def stop_all(self) -> None:
        """Down, as `docker compose down` does it."""
        for name in reversed(list(self.processes)):
            if self.processes[name].poll() is None:
                self.kill(name)
        self.processes.clear()  # what has completed does so again at the next start

    def _holds(self, name: str, condition: str) -> bool:
        process = self.processes.get(name)
        if process is None:
            return False
        if condition == "service_completed_successfully":
            assert process.poll() in (None, 0), f"{name} failed: {self.log(name)}"
            return process.poll() == 0
        assert condition == "service_healthy"
        assert process.poll() is None, f"{name} ended: {self.log(name)}"
        return self.healthy(name)

    def _started(self, name: str) -> tuple[list[str], Path, dict[str, str], dict[str, Any]]:
        service = self.services[name]
        if name == "postgres":
            self._initialise(service)
        return self._command(name, service["command"])

    def _command(self, name: str, command: list[str]) -> tuple[list[str], Path, dict[str, str], dict[str, Any]]:
        """A command of a service's container, as it runs here."""
        service = self.services[name]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_HELD_BACK)}
        own = {key: str(value) for key, value in service.get("environment", {}).items()}
        first, rest = command[0], command[1:]
        if service["image"] == REFERENCE:
            assert first == "mtac", command
            image = {key: value for key, value in self.image_variables.items() if key != "PATH"}
            image |= {"MTAC_IMAGE": str(self._map(image["MTAC_IMAGE"])), "HOME": str(self.folder / "home")}
            environment = {**kept, **image, **own, "PYTHONPATH": str(ROOT)}
            return [sys.executable, "-m", "mtac_assets.cli", *rest], self._map(self.workdir), environment, {}
        if name == "postgres":
            data = ["-D", str(self.folder / "database"), "-c", f"unix_socket_directories={self.folder / 'postgres'}"]
            arguments = [each.replace("5432", str(self.ports["postgres"])) for each in rest]
            arguments += [*data, "-c", "fsync=off"] if first == "postgres" else []
            return [program(first), *arguments], self.folder / "postgres", kept, identity()
        assert name == "proxy"
        if first == "nginx":
            path = self._nginx()
            (once,) = [index for index, each in enumerate(rest) if each == "/etc/nginx/nginx.conf"]
            rest = [*rest[:once], str(path), *rest[once + 1 :]]
            rest[-1] += (
                " user root;" if os.geteuid() == 0 else ""
            )  # in the container the master is nobody special either
        return [first, *(each.replace(":8443", f":{self.ports['proxy']}") for each in rest)], self.folder, kept, {}

    def _nginx(self) -> Path:
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        shipped = (ROOT / "mtac_assets" / "environments" / f"{self.environment}.yaml").read_text()
        for name in ("webserver", "viewer", "mlflow"):
            (port,) = re.findall(rf"{name}: {{host: {name}, port: (\d+)}}", shipped)
            text = replace_once(text, f"http://{name}:{port}", f"http://127.0.0.1:{self.ports[name]}")
        text = replace_once(text, "listen 8443 ssl", f"listen 127.0.0.1:{self.ports['proxy']} ssl")
        text = text.replace("/tmp/", f"{self.folder}/nginx-")
        for name in self.services["proxy"]["secrets"]:
            assert f"/run/secrets/{name}" in text
        text = text.replace("/run/secrets", str(self._map("/run/secrets")))
        path = self.folder / "nginx.conf"
        path.write_text(text)
        return path

    def _initialise(self, service: Mapping[str, Any]) -> None:
        """What the database's own image does at its first start with these variables."""
        data = self.folder / "database"
        if data.exists():
            return
        variables = service["environment"]
        access = [f"--username={variables['POSTGRES_USER']}", *variables["POSTGRES_INITDB_ARGS"].split()]
        secret = self.folder / "postgres" / "password"
        secret.parent.mkdir()
        shutil.copyfile(self._map(variables["POSTGRES_PASSWORD_FILE"]), secret)
        data.mkdir()
        if identity():
            for path in (data, secret.parent, secret):
                shutil.chown(path, identity()["user"], identity()["group"])
        subprocess.run(
            [program("initdb"), "-D", str(data), "-E", "UTF8", "--no-sync", f"--pwfile={secret}", *access],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=secret.parent,
            **identity(),
        )

    def _map(self, path: str) -> Path:
        """A path of a container, here."""
        if path.startswith("/run/secrets"):
            return self.folder / "secrets" / path.removeprefix("/run/secrets").lstrip("/")
        return self.folder / "root" / path.lstrip("/")
