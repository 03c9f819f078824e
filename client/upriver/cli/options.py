"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from upriver.channels import TlsFiles

DEFAULT_AGENT = "127.0.0.1:8470"

Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="For one answer, retries included.", min=0.001)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tls = Annotated[bool, typer.Option("--tls", help="Use TLS with the system's authorities.")]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="PEM authorities that agents are checked with.")]
Certificate = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE", help="PEM certificate that says who we are.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its PEM key.")]
ServerName = Annotated[
    str, typer.Option("--server-name", metavar="NAME", help="The name in the agent's certificate, if not its address.")
]


def tls_files(tls: bool, ca: Path | None, certificate: Path | None, key: Path | None, name: str) -> TlsFiles | None:
    """The files for TLS; None for plain text. Any of the options turns TLS on."""
    if not tls and ca is None and certificate is None and key is None and not name:
        return None
    return TlsFiles(ca, certificate, key, name)
