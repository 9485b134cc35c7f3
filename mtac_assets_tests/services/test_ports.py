from __future__ import annotations

import os
import socket

import pytest

from mtac_assets.services.ports import PortTaken, is_free, owner, require_free
from mtac_assets.spec.errors import EXIT_BAD_INPUT


def test_every_taken_port_is_named_with_its_owner_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = {"webserver": one.getsockname()[1], "mlflow": other.getsockname()[1]}
        with pytest.raises(PortTaken) as caught:
            require_free(ports, "environments/local.yaml")
        assert caught.value.exit_code == EXIT_BAD_INPUT
        for finding, (name, port) in zip(caught.value.findings, ports.items(), strict=True):
            assert str(port) in finding.error
            assert f"process {os.getpid()}" in finding.error
            assert finding.where == f"environments/local.yaml: ports.{name}"
            assert "environment config" in finding.remedy


def test_a_port_is_free_again_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the server's end lingers in TIME_WAIT
    assert is_free(port)
    assert owner(port) is None
    require_free({"webserver": port}, "environments/local.yaml")
