"""`upriver agents log-level`: how much an agent logs, module by module, for a while."""

import json
import re
from typing import Annotated, Final

import typer
from google.protobuf.duration_pb2 import Duration
from rich.markup import escape
from rich.table import Table

from upriver.cli import options as opt
from upriver.cli.calling import calling
from upriver.cli.tables import print_table
from upriver.errors import ConfigError
from upriver.log_levels import SERVICE
from upriver.v1 import log_pb2 as pb

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def log_level_command(
    agent: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The agent.")],
    levels: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE=LEVEL]...", help="What to set; LEVEL alone is everything's, `MODULE=` goes back."
        ),
    ] = None,
    hold: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: `90s`, `10m`, at most `24h`.")] = "10m",
    timeout: opt.Timeout = 10.0,
    tls: opt.Tls = False,
    ca: opt.Ca = None,
    certificate: opt.Certificate = None,
    key: opt.Key = None,
    server_name: opt.ServerName = "",
    as_json: opt.AsJson = False,
) -> None:
    """Show how much an agent logs, or change it for a while; it goes back by itself.

    Levels are `debug`, `info`, `warning` and `error`; modules are as in the log's lines.

    ```console
    upriver agents log-level 10.0.0.7:8470
    upriver agents log-level 10.0.0.7:8470 upriver_agent.sync=debug --for 10m
    upriver agents log-level 10.0.0.7:8470 upriver_agent.sync=
    ```
    """
    wanted = [_read(one) for one in levels or ()]
    hold_time = Duration(seconds=_seconds(hold))
    with calling(agent, opt.tls_files(tls, ca, certificate, key, server_name), SERVICE) as stub:
        if wanted:
            found = stub.SetLogLevels(pb.SetLogLevelsRequest(levels=wanted, hold_time=hold_time), timeout=timeout)
        else:
            found = stub.GetLogLevels(pb.GetLogLevelsRequest(), timeout=timeout)
    documents = [_document(level) for level in found.levels]
    if as_json:
        typer.echo(json.dumps(documents, indent=2))
        return
    table = Table("module", "level", "until", box=None, pad_edge=False)
    for one in documents:
        table.add_row(escape(one["module"] or "everything"), one["level"], one.get("until", "as configured"))
    print_table(table)


def _document(level: pb.LogLevel) -> dict[str, str]:
    until = {"until": level.until_time.ToJsonString()} if level.HasField("until_time") else {}
    return {"module": level.module, "level": level.level, **until}


def _read(text: str) -> pb.LogLevel:
    module, equals, level = text.partition("=")
    return pb.LogLevel(module=module, level=level) if equals else pb.LogLevel(level=module)


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([smh])", text)
    if found is None or int(found[1]) == 0:
        raise ConfigError("upriver agents log-level", [f"--for {text}: expected 90s, 10m or 2h, for example"])
    return int(found[1]) * _UNITS[found[2]]
