"""`upriver agents`: who is there, from discovery or by asking."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from upriver.channels import TlsFiles
from upriver.cli import options as opt
from upriver.cli.documents import agent_document, error_document
from upriver.cli.tables import print_table
from upriver.client import Client
from upriver.discovery.port import AgentRecord
from upriver.errors import ConfigError, RuntimeMissing, UpriverError

DEFAULT_CONSUL = "http://127.0.0.1:8500"
TOKEN_VARIABLE = "CONSUL_HTTP_TOKEN"  # noqa: S105 - the variable that Consul's own tools read


app = typer.Typer(
    name="agents",
    invoke_without_command=True,
    rich_markup_mode="markdown",
)


@app.callback()
def agents_command(
    ctx: typer.Context,
    consul: Annotated[
        str | None, typer.Option(metavar="URL", help=f"Consul's address.  [default: {DEFAULT_CONSUL}]")
    ] = None,
    service: Annotated[str, typer.Option(metavar="NAME", help="The service's name in Consul.")] = "upriver-agent",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Consul's token; without it {TOKEN_VARIABLE} counts.")
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", "-a", metavar="HOST:PORT", help="Ask this agent itself instead; may be repeated."),
    ] = None,
    timeout: opt.Timeout = 5.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """List the agents that Consul knows to be healthy, or ask some what they serve; or see how much one logs.

    The exit status is 1 when Consul, or one of the agents asked, can't be reached.

    ```console
    upriver agents
    upriver agents --consul http://consul.store-12.example:8500 --json
    upriver agents --agent 10.0.0.7:8470 --agent 10.0.0.8:8470
    ```
    """
    if ctx.invoked_subcommand is not None:
        return
    if agent:
        if consul is not None:
            raise ConfigError("upriver agents", ["--consul and --agent exclude each other"])
        _ask(agent, opt.tls_files(tls, ca, certificate, key, server_name), timeout, as_json)
        return
    records = sorted(
        _listed(consul or DEFAULT_CONSUL, service, token_file), key=lambda record: (record.tier, record.agent)
    )
    if as_json:
        typer.echo(json.dumps([agent_document(record) for record in records], allow_nan=False, indent=2))
    else:
        _print_records(records, consul or DEFAULT_CONSUL)


def _listed(address: str, service: str, token_file: Path | None) -> Sequence[AgentRecord]:
    try:
        from upriver.discovery.consul import ConsulOptions, list_agents  # only this listing needs httpx
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise RuntimeMissing("to ask Consul httpx is needed: pip install 'upriver[cli]'") from error
    token = os.environ.get(TOKEN_VARIABLE, "")
    return list_agents(ConsulOptions(address=address, token=token, token_file=token_file, service=service))


def _print_records(records: Sequence[AgentRecord], where: str) -> None:
    if not records:
        typer.echo(f"no healthy agents in Consul at {where}")
        return
    table = Table("agent", "tier", "region", "address", "load", "models", box=None, pad_edge=False)
    for record in records:
        models = ", ".join(f"{name} {served.version}" for name, served in sorted(record.models.items()))
        cells = (record.agent, record.tier, record.region, record.address, f"{record.load:.0%}", models)
        table.add_row(*map(escape, cells))
    print_table(table)


def _ask(addresses: Sequence[str], tls: TlsFiles | None, timeout_s: float, as_json: bool) -> None:
    documents = [_asked(address, tls, timeout_s) for address in addresses]
    if as_json:
        typer.echo(json.dumps(documents, allow_nan=False, indent=2))
    else:
        table = Table("address", "ready", "models", box=None, pad_edge=False)
        for document in documents:
            table.add_row(*map(escape, _asked_cells(document)))
        print_table(table)
    if any("error" in document for document in documents):
        raise typer.Exit(1)


def _asked(address: str, tls: TlsFiles | None, timeout_s: float) -> dict[str, Any]:
    with Client(address, tls=tls, timeout=timeout_s, retries=0) as client:
        try:
            models = client.models()
            ready = client.ready()
        except ConfigError:
            raise
        except UpriverError as error:
            return {"address": address, "ready": False, "error": error_document(error)}
    described = [
        {"model": state.model, "version": state.version, "ready": state.ready, "problem": state.problem}
        for state in models
    ]
    return {"address": address, "ready": ready, "models": described}


def _asked_cells(document: dict[str, Any]) -> tuple[str, str, str]:
    if "error" in document:
        return document["address"], "no", document["error"]["message"]
    models = ", ".join(
        f"{state['model']} {state['version']}" if state["ready"] else f"{state['model']}: {state['problem']}"
        for state in document["models"]
    )
    return document["address"], "yes" if document["ready"] else "no", models
