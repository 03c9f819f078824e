"""Heads on the terminal, and as JSON."""

from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from upriver.cli.documents import plain, rfc3339
from upriver.cli.tables import print_table
from upriver.lessons import seconds
from upriver.v1 import head_pb2 as pb


def heads_document(found: pb.ListHeadsResponse) -> dict[str, Any]:
    """How learning stands, as JSON has it."""
    return {
        "models": [
            {
                "model": one.model,
                "version": one.version_digest,
                "lessons": one.lessons,
                "held_out": one.held_out,
                "attempts": one.attempts,
                "held": one.held,
                "why": one.why or None,
                "ended": one.ended or None,
                "trials": [_trial(trial) for trial in one.trials],
            }
            for one in found.models
        ]
    }


def print_heads(found: pb.ListHeadsResponse) -> None:
    """Prints a paragraph and a table for each model."""
    for one in found.models:
        held = "; held by an operator" if one.held else ""
        typer.echo(
            f"{one.model} {one.version_digest[:19]}: {one.lessons} lessons, {one.held_out} questions held out, "
            f"{one.attempts} attempts{held}"
        )
        for note in (one.why, one.ended and f"what was learnt answers no more: {one.ended}"):
            if note:
                typer.echo(f"  {note}")
        if one.trials:
            print_table(_table(one))


def _table(model: pb.HeadsOfModel) -> Table:
    table = Table(
        "#", "head", "tried", "lessons", "held out", "lost", "threshold", "coverage", box=None, pad_edge=False
    )
    for name in ("p (loss)", "at most", "gained", "given up", "outcome"):
        table.add_column(name)
    for trial in model.trials:
        outcome = "answers" if trial.answers else "answered" if trial.promoted else trial.why or "passed"
        cells = (
            str(trial.attempt),
            trial.head[7:19],
            str(rfc3339(seconds(trial.tried_time))),
            str(trial.lessons),
            str(trial.questions),
            f"{trial.losses} (may {trial.epsilon:.2%})",
            f"{trial.threshold:.4f}",
            f"{trial.coverage:.1%}",
            f"{trial.p_loss:.2g}",
            f"{trial.delta:.2g}",
            str(trial.gained),
            str(trial.given_up),
            outcome,
        )
        table.add_row(*map(escape, cells))
    return table


def _trial(trial: pb.HeadTrial) -> dict[str, Any]:
    return {
        "head": trial.head,
        "version": trial.version_digest,
        "tried": rfc3339(seconds(trial.tried_time)),
        "lessons": trial.lessons,
        "attempt": trial.attempt,
        "epsilon": trial.epsilon,
        "delta": trial.delta,
        "questions": trial.questions,
        "losses": trial.losses,
        "threshold": plain(trial.threshold),
        "coverage": trial.coverage,
        "p_loss": trial.p_loss,
        "gained": trial.gained,
        "given_up": trial.given_up,
        "p_fewer": trial.p_fewer,
        "why": trial.why or None,
        "promoted": trial.promoted,
        "answers": trial.answers,
    }
