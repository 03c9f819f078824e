"""`upriver model export`: versions into a folder, for agents that no network reaches."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from upriver.errors import DeadlineExpired, InvalidInput, ModelNotFound, NotFound, Unreachable
from upriver.v1 import blob_pb2 as pb
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.trust.bundle import export_bundle

SERVICE = pb.DESCRIPTOR.services_by_name["BlobService"]
_STREAM_S: Final = 300.0
app = typer.Typer(name="model", help="Carry versions to agents that no network reaches.", rich_markup_mode="markdown")


@app.callback()
def about() -> None:
    """Carry versions to agents that no network reaches."""


@app.command("export")
def export_command(
    arguments: Annotated[
        list[str], typer.Argument(metavar="MODEL/VERSION... DIR", help="The versions, and the folder to write to.")
    ],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Write versions and the signatures that vouch for them to a folder, for `upriver agent side-load`.

    An agent takes it in as long as the signatures hold: the control plane's `trust.timestamp_days`, a day unless it is
    set, counted from when it last signed. A repetition goes on where an earlier one ended.

    ```console
    upriver model export digits/v3 letters/v1 /media/usb/models
    ```
    """
    if len(arguments) < 2:
        raise InvalidInput("give one or more versions and then the folder: upriver model export MODEL/VERSION... DIR")
    versions, folder = [_named(text) for text in arguments[:-1]], Path(arguments[-1])
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with (
        Connection(control_plane, token_file, ca) as connection,
        Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as shown,
    ):
        task = shown.add_task("fetching", total=None)
        made = export_bundle(_Remote(connection), versions, folder, lambda size: shown.advance(task, size))
    if as_json:
        typer.echo(
            json.dumps({"versions": dict(made.versions), "size_bytes": made.size_bytes, "expires": made.expires})
        )
        return
    for name, digest in made.versions.items():
        typer.echo(f"{name}  {digest}")
    typer.echo(f"{made.size_bytes:,} bytes in {folder}; agents take it in until {made.expires}")


class _Remote:
    """A bundle's source: the control plane's BlobService."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def metadata(self, name: str) -> bytes | None:
        """A metadata file."""
        try:
            reply = self._connection.call(SERVICE, "FetchMetadata", pb.FetchMetadataRequest(name=name))
        except (NotFound, ModelNotFound):  # the latter from a server that tells a status and no reason
            return None
        return bytes(reply.data)

    def blob(self, digest: str) -> Iterator[bytes]:
        """A blob; a stream that breaks off goes on where it ended, as long as something came of the last one."""
        offset = 0
        while True:
            before = offset
            try:
                for reply in self._stream(digest, offset):
                    offset += len(reply.data)
                    yield bytes(reply.data)
            except (Unreachable, DeadlineExpired):
                if offset == before:
                    raise
            else:
                return

    def _stream(self, digest: str, offset: int) -> Iterator[Any]:
        return self._connection.stream(SERVICE, "Fetch", pb.FetchRequest(digest=digest, offset=offset), _STREAM_S)


def _named(text: str) -> tuple[str, str]:
    parts: Sequence[str] = text.split("/")
    if len(parts) == 4 and (parts[0], parts[2]) == ("models", "versions"):
        parts = (parts[1], parts[3])
    if len(parts) != 2 or not all(parts):
        raise InvalidInput(f"{text!r} is no version; expected MODEL/VERSION, as `upriver model list` shows it")
    return parts[0], parts[1]
