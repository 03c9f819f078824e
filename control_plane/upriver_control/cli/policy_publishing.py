"""`upriver policy publish`: a policy that no calibration made, with the head that it names."""

import json
from pathlib import Path
from typing import Annotated

import typer

from upriver.errors import ConfigError
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli.calibrating import SERVICE
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.policy_documents import policy_document

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]


def publish_command(
    model: Model,
    tier: Annotated[str, typer.Option(metavar="TIER", help="The tier that it is for.")],
    policy: Annotated[Path, typer.Option(metavar="FILE", help="The policy's document, as it was written.")],
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The head that it names, unless that was published before.")
    ] = None,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Publish a policy, for rollouts to bring it to agents. The same again changes nothing.

    ```console
    upriver policy publish digits --tier device --policy better.json --head better.head
    upriver rollout start digits/v4 --policy 3f2c91 --selector region=north
    ```
    """
    request = pb.PublishPolicyRequest(
        parent=f"models/{model.removeprefix('models/')}",
        tier=tier,
        document=_bytes(policy).decode("utf-8", "replace").strip(),
        head=b"" if head is None else _bytes(head),
    )
    with Connection(control_plane, token_file, ca) as connection:
        made = connection.call(SERVICE, "PublishPolicy", request).policy
    typer.echo(json.dumps(policy_document(made), indent=2) if as_json else f"published {made.name} for {made.version}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError("can't publish", [f"{path}: {error.strerror or error}"]) from error
