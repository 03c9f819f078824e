"""`upriver lessons heads`, `revert`, `hold` and `resume`: what an agent has made of its lessons, and undoing it."""

import json
from typing import Annotated, Any, Final

import typer

from upriver.cli import options as opt
from upriver.cli.calling import calling
from upriver.cli.head_tables import heads_document, print_heads
from upriver.cli.lessons import Agent
from upriver.v1 import head_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["HeadService"]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model.")]


def heads_command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model.")] = "",
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Show how learning stands: lessons, questions held out, and every head that was tried with its numbers.

    A head answers once it has proven, on questions that it never learnt from, that it loses no more than it may, and
    that it escalates less than what answered before.

    ```console
    upriver lessons heads
    upriver lessons heads digits --agent 10.0.0.7:8470 --json | jq '.models[0].trials[0]'
    ```
    """
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        found = stub.ListHeads(pb.ListHeadsRequest(model=model), timeout=timeout)
    if as_json:
        typer.echo(json.dumps(heads_document(found), allow_nan=False, ensure_ascii=False, indent=2))
    else:
        print_heads(found)


def revert_command(
    model: Model,
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 30.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
) -> None:
    """Have the pair answer again that was assigned, and hold the model: nothing is promoted until `resume`.

    Lessons are kept, and come in as before.

    ```console
    upriver lessons revert digits
    ```
    """
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        stub.RevertHead(pb.RevertHeadRequest(model=model), timeout=timeout)
    typer.echo(f"{model}: what was assigned answers again; upriver lessons resume {model} has it learn on")


def hold_command(
    model: Model,
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 30.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
) -> None:
    """Have a model keep what answers now, whatever it learns.

    ```console
    upriver lessons hold digits
    ```
    """
    _hold(model, False, agent, timeout, opt.tls_files(tls, ca, certificate, key, server_name))
    typer.echo(f"{model} keeps what answers now")


def resume_command(
    model: Model,
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 30.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
) -> None:
    """Have a model go on learning that was held.

    ```console
    upriver lessons resume digits
    ```
    """
    _hold(model, True, agent, timeout, opt.tls_files(tls, ca, certificate, key, server_name))
    typer.echo(f"{model} learns on")


def _hold(model: str, resume: bool, agent: str, timeout: float, tls: Any) -> None:
    with calling(agent, tls, SERVICE) as stub:
        stub.HoldLearning(pb.HoldLearningRequest(model=model, resume=resume), timeout=timeout)
