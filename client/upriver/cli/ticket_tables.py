"""Tickets on the terminal."""

import json
import time
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from upriver.cli.documents import plain, rfc3339
from upriver.cli.tables import print_table
from upriver.tickets import Ticket


def print_tickets(tickets: Sequence[Ticket]) -> None:
    """Prints one line each; nothing when there are none."""
    if not tickets:
        return
    table = Table(
        "ticket", "model", "state", "guess", "confidence", "reason", "age", "answer", box=None, pad_edge=False
    )
    for ticket in tickets:
        guess, answer = ticket.guess, ticket.answer
        cells = (
            ticket.id,
            ticket.model,
            f"waits for {ticket.waiting}" if ticket.waiting else ticket.state.value,
            guess.label or f"{len(guess.outputs)} outputs",
            "" if guess.confidence is None else f"{guess.confidence:.4f}",
            str(guess.reason or ""),
            _age(time.time() - ticket.created_at),
            "" if answer is None else f"{answer.label or 'outputs'} by {ticket.answered_by}",
        )
        table.add_row(*map(escape, cells))
    print_table(table)


def print_ticket(ticket: Ticket) -> None:
    """Prints all that is known of one."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _shown(ticket):
        table.add_row(name, escape(value))
    print_table(table)


def _shown(ticket: Ticket) -> list[tuple[str, str]]:
    guess = ticket.guess
    rows = [
        ("ticket", ticket.id),
        ("model", f"{ticket.model} {guess.version}"),
        ("state", f"waits for {ticket.waiting}" if ticket.waiting else ticket.state.value),
        ("issued", f"{rfc3339(ticket.created_at)}"),
        ("expires", f"{rfc3339(ticket.expires_at)}"),
        ("asked again", f"{ticket.attempts} times in vain"),
        ("best guess", _told(guess.label, guess.top(5))),
        ("of", f"{' > '.join(guess.path)}, because {guess.reason}"),
        ("trace", guess.trace_id),
    ]
    if ticket.answer is not None:
        answer = ticket.answer
        rows += [
            ("answer", _told(answer.label, answer.top(5))),
            ("by", f"{ticket.answered_by}, {rfc3339(ticket.answered_at)}, {' > '.join(answer.path)}"),
        ]
    for name, array in (ticket.inputs or {}).items():
        rows.append((f"input {name}", f"{array.dtype if array.dtype.kind != 'O' else 'BYTES'} {list(array.shape)}"))
    if guess.probabilities is None:
        rows += [(f"output {name}", json.dumps(plain(array.tolist()))[:200]) for name, array in guess.outputs.items()]
    return rows


def _told(label: str | None, top: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {chance:.4f}" for name, chance in top) or label or "see its outputs"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
