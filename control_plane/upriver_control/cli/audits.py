"""`upriver fleet audits`: how a model's answers compare with the top's, agent by agent."""

import json
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from upriver.cli.tables import print_table
from upriver.v1 import audit_pb2 as pb
from upriver.v1 import sync_pb2
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.telling.audits import alarm_time, interval
from upriver_control.telling.times import moment

SERVICE: Final = pb.DESCRIPTOR.services_by_name["AuditService"]

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model.")]


def audits_command(
    model: Model,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show how a model's answers compare with the top's, for each agent and policy.

    Of the answers that passed the policy's threshold, `differ` are not the top's; `share` is where that share lies with
    95 % confidence (Wilson).

    ```console
    upriver fleet audits digits
    ```
    """
    name = model.removeprefix("models/")
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.SummarizeAuditsRequest(parent=f"models/{name}")
        found = connection.call(SERVICE, "SummarizeAudits", request).summaries
    if as_json:
        typer.echo(json.dumps({"audits": [document(one) for one in found]}, indent=2))
    elif not found:
        typer.echo(f"no audits of {name}")
    else:
        print_table(_table(found))


def document(one: pb.AuditSummary) -> dict[str, Any]:
    """A summary for programs."""
    low, high = interval(one.disagreements, one.passed)
    return {
        "agent": one.agent,
        "tier": one.tier,
        "version_digest": one.version_digest,
        "policy_digest": one.policy_digest,
        "audits": one.audits,
        "passed": one.passed,
        "disagreements": one.disagreements,
        "share_low": low,
        "share_high": high,
        "last": _time(one),
    }


def monitor_document(monitor: sync_pb2.Monitor) -> dict[str, Any]:
    """The same for programs."""
    return {
        "note": monitor.note,
        "watched": monitor.watched,
        "audits": monitor.audits,
        "disagreements": monitor.disagreements,
        "log_e_value": monitor.log_e_value,
        "log_shiryaev_roberts": monitor.log_shiryaev_roberts,
        "alarm": alarm_time(monitor) if monitor.HasField("alarm_time") else None,
        "rate": monitor.rate,
        "warnings": list(monitor.warnings),
        "waiting": monitor.waiting,
        "dropped": monitor.dropped,
        "trouble": monitor.trouble,
    }


def _table(found: Any) -> Table:
    table = Table("tier", "agent", "version", "policy", "audits", "passed", "differ", "share", "last", box=None)
    for one in found:
        low, high = interval(one.disagreements, one.passed)
        told = (one.tier, one.agent, _short(one.version_digest), _short(one.policy_digest), str(one.audits))
        more = (str(one.passed), str(one.disagreements), f"{low:.2%} to {high:.2%}", _time(one))
        table.add_row(*map(escape, (*told, *more)))
    return table


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _time(one: pb.AuditSummary) -> str:
    return moment(one.last_time)
