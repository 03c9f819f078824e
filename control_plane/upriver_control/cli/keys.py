"""`upriver-control keys`: shows, takes away and replaces the keys that versions are signed with.

It works on the control plane's own folders, on its machine; a running control plane notices.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upriver.errors import ConfigError, InvalidInput, NotNow, ProblemList, UpriverError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from upriver_control.config import ControlPlaneConfig
    from upriver_control.trust.repository import Repository

app = typer.Typer(
    name="keys",
    help="Show, take away and replace the keys that versions are signed with.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The control plane's TOML file; without it its defaults."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RootKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-keys", metavar="DIR", help="A folder with root keys (root-*.pem) kept offline; may be repeated."
    ),
]


class OnlineRole(StrEnum):
    """The roles whose keys stay on the control plane."""

    TARGETS = "targets"
    BINS = "bins"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


@app.command("show")
def show_command(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show the fingerprint that agents pin, the root's keys, which of them are here, and when it expires.

    upriver-control keys show --config control.toml
    """
    with _told():
        facts = _repository(config).facts()
    document = {
        "fingerprint": facts.fingerprint,
        "root_version": facts.version,
        "threshold": facts.threshold,
        "root_keys": [{"id": keyid, "here": keyid in facts.here} for keyid in facts.keys],
        "online_keys": {role: list(keyids) for role, keyids in sorted(facts.online.items())},
        "root_expires": facts.expires.isoformat(),
    }
    if as_json:
        typer.echo(json.dumps(document))
        return
    typer.echo(f"fingerprint  {facts.fingerprint}")
    typer.echo(f"root         version {facts.version}, {facts.threshold} of {len(facts.keys)} keys must sign,"
               f" expires {facts.expires:%Y-%m-%d}")  # fmt: skip
    for keyid in facts.keys:
        typer.echo(f"root key     {keyid}  {'here' if keyid in facts.here else 'offline'}")
    for role, keyids in sorted(facts.online.items()):
        typer.echo(f"{role:<12} {', '.join(keyids)}")


@app.command("export-root")
def export_root_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")],
    config: ConfigFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Then remove them from this machine.")] = False,
) -> None:
    """Copy the root keys to a folder, so that they can be kept offline; `--remove` then takes them away here.

    Each copy is read back before anything is removed. Without root keys the control plane publishes as before; only
    `rotate-root` needs them, and it takes them from `--root-keys DIR`.

        upriver-control keys export-root /media/usb/upriver-root --remove
    """
    from upriver_control.trust.keys import Keys

    with _told():
        keys = Keys(_loaded(config).keys_folder)
        copies = keys.export_roots(folder)
        if not copies:
            raise InvalidInput("there is no root key on this machine: they are offline already")
        if remove:
            keys.remove_roots()
    typer.echo(f"{len(copies)} root keys copied to {folder}{' and removed here' if remove else ''}")


@app.command("rotate-root")
def rotate_root_command(
    config: ConfigFile = None,
    add: Annotated[int, typer.Option(min=0, max=16, help="So many new root keys.")] = 0,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KEY_ID", help="A root key that no longer counts.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=0, max=16, help="How many must sign; 0 keeps it.")] = 0,
    online: Annotated[list[OnlineRole] | None, typer.Option(help="An online role that gets a new key.")] = None,
    root_keys: RootKeys = None,
    as_json: AsJson = False,
) -> None:
    """Make the next root: new root keys, old ones removed, another threshold, or new keys for online roles.

    The old and the new keys sign it, so agents follow without being told; the fingerprint that they pin stays. Without
    any change the root is signed anew and expires later.

        upriver-control keys rotate-root --add 1 --remove 3f2a... --root-keys /media/usb/upriver-root
        upriver-control keys rotate-root --online timestamp --online snapshot
    """
    from upriver_control.trust.keys import Keys

    with _told():
        repository = _repository(config)
        keys = Keys(_loaded(config).keys_folder)
        brought = [signer for folder in root_keys or () for signer in _root_keys(folder)]
        repository.facts()  # says so if there is no repository, before a key is made
        for role in online or ():
            repository.rotate_online(role.value, brought)
        if add or remove or threshold or not online:
            added = [keys.add_root() for _ in range(add)]
            try:
                repository.rotate_root(added, remove or (), threshold, brought)
            except (InvalidInput, NotNow):
                for signer in added:
                    keys.discard_root(signer)
                raise
        facts = repository.facts()
    if as_json:
        typer.echo(
            json.dumps({"root_version": facts.version, "threshold": facts.threshold, "root_keys": [*facts.keys]})
        )
    else:
        typer.echo(f"root version {facts.version}: {facts.threshold} of {len(facts.keys)} keys must sign")


def _root_keys(folder: Path) -> "Sequence[CryptoSigner]":
    from upriver_control.trust.keys import Keys

    signers = Keys(folder).roots()
    if not signers:
        raise ConfigError("can't read root keys", [f"--root-keys {str(folder)!r} has no root-*.pem"])
    return signers


def _loaded(config: Path | None) -> "ControlPlaneConfig":
    from upriver_control.config import load_config

    return load_config(config, os.environ)


def _repository(config: Path | None) -> "Repository":
    from upriver_control.trust.opening import repository_of

    return repository_of(_loaded(config), time.time)


@contextmanager
def _told() -> Iterator[None]:
    """Errors are one line on stderr; exit status 2 for a configuration, 1 for everything else."""
    try:
        yield
    except UpriverError as error:
        text = "; ".join(error.problems) if isinstance(error, ProblemList) else " ".join(str(error).split())
        typer.echo(f"upriver-control keys: {text}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
