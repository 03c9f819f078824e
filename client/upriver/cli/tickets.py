"""`upriver tickets`: what an agent could not answer for sure, and answering it."""

import json
from pathlib import Path
from typing import Annotated
from zipfile import ZipFile

import numpy as np
import typer

from upriver.cli import options as opt
from upriver.cli.calling import calling
from upriver.cli.documents import ticket_document
from upriver.cli.ticket_tables import print_ticket, print_tickets
from upriver.client import Client
from upriver.errors import ConfigError, DiskTrouble, InvalidInput
from upriver.tensors import Array
from upriver.tickets import PREFIX, SERVICE, Ticket, TicketState, parse_ticket
from upriver.v1 import ticket_pb2 as pb

app = typer.Typer(
    name="tickets",
    help="See what an agent could not answer for sure, and answer it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Agent = Annotated[str, typer.Option("--agent", "-a", metavar="HOST:PORT", help="The agent that gave the tickets out.")]
Name = Annotated[str, typer.Argument(metavar="TICKET", help="As answers have it: q-... .")]
_STATES = {TicketState.OPEN: pb.TICKET_STATE_OPEN, TicketState.ANSWERED: pb.TICKET_STATE_ANSWERED}
_PAGE = 1000


@app.command("list")
def list_command(
    agent: Agent = opt.DEFAULT_AGENT,
    state: Annotated[TicketState | None, typer.Option(help="Only those in this state.")] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help="Only those of this model.")] = "",
    limit: Annotated[int, typer.Option(metavar="NUMBER", help="At most so many, the oldest first.", min=1)] = 100,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """List tickets, the oldest first, and what has become of all that the agent gave out.

    An agent shows everybody's tickets to callers with a certificate (mutual TLS); `tickets.access = "network"` in its
    configuration lets anybody see and answer them who reaches its port.

    ```console
    upriver tickets list
    upriver tickets list --agent 10.0.0.7:8470 --state open --model digits
    upriver tickets list --state open --json | jq -r '.tickets[].id'
    ```
    """
    found: list[Ticket] = []
    counters, token = pb.TicketCounters(), ""
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        while True:
            size = min(_PAGE, limit - len(found))
            wanted = pb.TICKET_STATE_UNSPECIFIED if state is None else _STATES[state]
            request = pb.ListTicketsRequest(page_size=size, page_token=token, state=wanted, model=model)
            reply = stub.ListTickets(request, timeout=timeout)
            found += [parse_ticket(ticket) for ticket in reply.tickets]
            counters, token = reply.counters, reply.next_page_token
            if not token or len(found) >= limit:
                break
    told = {name.name: getattr(counters, name.name) for name in pb.TicketCounters.DESCRIPTOR.fields}
    if as_json:
        document = {"tickets": [ticket_document(ticket) for ticket in found], "counters": told, "more": bool(token)}
        typer.echo(json.dumps(document, allow_nan=False, ensure_ascii=False, indent=2))
        return
    print_tickets(found)
    typer.echo(("more than these; " if token else "") + ", ".join(f"{count} {name}" for name, count in told.items()))


@app.command("show")
def show_command(
    ticket: Name,
    agent: Agent = opt.DEFAULT_AGENT,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write its input there: an encoded image as it is, else arrays as .npz."),
    ] = None,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Show a ticket: the best guess, what it waits for, the answer.

    With `--save` its input is written to a file, to look at before answering; that needs the agent's permission, as
    `upriver tickets list` does. An answered ticket has no input any more.

    ```console
    upriver tickets show q-5f0c2a9b1d3e4f67
    upriver tickets show q-5f0c2a9b1d3e4f67 --save question.png
    ```
    """
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        request = pb.GetTicketRequest(name=_name(ticket), include_input=save is not None)
        found = parse_ticket(stub.GetTicket(request, timeout=timeout).ticket)
    if save is not None:
        _save(found, save)
    if as_json:
        typer.echo(json.dumps(ticket_document(found), allow_nan=False, ensure_ascii=False, indent=2))
        return
    print_ticket(found)


@app.command("answer")
def answer_command(
    ticket: Name,
    label: Annotated[str, typer.Argument(metavar="[LABEL]", help="One of the model's labels.")] = "",
    outputs: Annotated[
        str, typer.Option(metavar="JSON", help="For a model that does not classify: every output's content.")
    ] = "",
    agent: Agent = opt.DEFAULT_AGENT,
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Answer a ticket yourself; whoever waits for it gets your answer.

    A label that the model does not have is refused with those that it has. What a person answered says so: its reason
    is `answered` and its agent `person`.

    ```console
    upriver tickets answer q-5f0c2a9b1d3e4f67 seven
    upriver tickets answer q-5f0c2a9b1d3e4f67 --outputs '{"temperature": [21.5]}'
    ```
    """
    if bool(label) == bool(outputs):
        raise ConfigError("upriver tickets answer", ["give either a LABEL or --outputs"])
    request = pb.AnswerTicketRequest(name=_name(ticket))
    if label:
        request.label = label
    else:
        request.outputs = outputs
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        answered = parse_ticket(stub.AnswerTicket(request, timeout=timeout).ticket)
    if as_json:
        typer.echo(json.dumps(ticket_document(answered), allow_nan=False, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"{answered.id} is answered, by {answered.answered_by}")


@app.command("watch")
def watch_command(
    tickets: Annotated[list[str] | None, typer.Argument(metavar="[TICKET...]", help="Only these; none: all.")] = None,
    agent: Agent = opt.DEFAULT_AGENT,
    seconds: Annotated[float | None, typer.Option("--for", metavar="SECONDS", help="Stop after so long.")] = None,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Print tickets as they are answered, until Ctrl-C; with tickets named, until all of them are.

    A connection that breaks is made anew, and nothing is missed meanwhile. With `--json` each is one line.

    ```console
    upriver tickets watch --agent 10.0.0.7:8470
    upriver tickets watch q-5f0c2a9b1d3e4f67 --for 60 --json
    ```
    """
    with Client(agent, tls=opt.tls_files(tls, ca, certificate, key, server_name)) as client:
        try:
            for found in client.tickets(*(tickets or ()), timeout=seconds):
                if as_json:
                    typer.echo(json.dumps(ticket_document(found), allow_nan=False, ensure_ascii=False))
                else:
                    answer = found.answer or found.guess
                    what = answer.label if answer.label is not None else f"{len(answer.outputs)} outputs"
                    typer.echo(
                        f"{found.id}  {found.model}  {what}  by {found.answered_by} after {answer.latency_s:.1f} s"
                    )
        except KeyboardInterrupt:
            return


def _name(ticket: str) -> str:
    return PREFIX + ticket.removeprefix(PREFIX)


def _save(ticket: Ticket, path: Path) -> None:
    if ticket.inputs is None:
        raise InvalidInput(f"ticket {ticket.id} is answered: its input is not kept any more")
    encoded = [array for array in ticket.inputs.values() if array.dtype.kind == "O"]
    try:
        if len(encoded) == len(ticket.inputs) == 1:
            path.write_bytes(encoded[0].reshape(-1)[0])
        else:
            with ZipFile(path, "w") as archive:
                for name, array in ticket.inputs.items():
                    with archive.open(f"{name}.npy", "w") as file:
                        np.lib.format.write_array(file, _plain_array(array), allow_pickle=False)
    except OSError as error:
        raise DiskTrouble(f"can't write {path}: {error.strerror}") from error


def _plain_array(array: Array) -> Array:
    """Texts as NumPy stores them without pickling."""
    return array if array.dtype.kind != "O" else array.astype(np.bytes_)
