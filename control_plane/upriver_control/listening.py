"""Where a control plane listens, and the file that tells others when it does."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from upriver.errors import ConfigError
from upriver_control.config import ControlPlaneConfig
from upriver_control.kept import Kept, join_text


def bind(server: grpc.aio.Server, config: ControlPlaneConfig) -> int:
    """Binds the server to where it is configured to listen and gives the port; raises ConfigError."""
    section = config.server
    try:
        if section.certificate is None or section.key is None:
            return server.add_insecure_port(section.listen)
        pair = (section.key.read_bytes(), section.certificate.read_bytes())
        client_ca = section.client_ca.read_bytes() if section.client_ca is not None else None
        credentials = grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
        return server.add_secure_port(section.listen, credentials)
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            "can't serve",
            [f"server.listen = {section.listen!r}: {error}; expected a free port on an address of this host"],
        ) from error


def facts(kept: Kept, address: str, console: str) -> Mapping[str, Any]:
    """What the ready file tells; `console` is where browsers find it, empty where there is none."""
    return {
        "address": address,
        "console": console,
        "pid": os.getpid(),
        "fingerprint": kept.fingerprint,
        "join": join_text(kept.config, kept.join_token, kept.fingerprint, address),
    }


def write_ready(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes the ready file, whole."""
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # the join text has a token in it
    with os.fdopen(descriptor, "w") as file:
        json.dump(facts, file)
    aside.replace(path)
