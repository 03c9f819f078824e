"""Trainings: what each is doing, how far it is, and why it ended as it did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from upriver.v1 import train_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, rect, svg, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling import learning

_TONES: Final = {"succeeded": "good", "failed": "bad", "cancelled": "quiet", "running": "", "pending": "quiet"}
_BAR: Final = 120.0


def draw(trainings: Sequence[train_pb2.Training], model: str, now: datetime) -> Markup:
    """A table, newest first."""
    if not trainings:
        return words.nothing(
            "No model was trained.",
            f"upriver train {model or 'MODEL'}",
            "It makes a new version from the lessons that were handed up.",
        )
    columns = (
        Column("Training"),
        Column("State"),
        Column("What"),
        Column("From", narrow=False),
        Column("Lessons of", narrow=False),
        Column("Made", numbers=True),
    )
    return table(f"The newest {len(trainings)} trainings", columns, [_row(one, now) for one in trainings])


def progress(share: float) -> Markup:
    """How far something is, as a bar."""
    done = min(1.0, max(0.0, share)) if share == share else 0.0
    return svg(
        _BAR,
        8,
        f"{units.share(done)} done",
        rect(0, 0, _BAR, 8, {"class": "trainings-rest", "rx": 4}),
        rect(0, 0, _BAR * done, 8, {"class": "trainings-done", "rx": 4}),
    )


def _row(training: train_pb2.Training, now: datetime) -> Row:
    state = learning.training_state(training)
    parts = training.name.split("/")
    short = f"{parts[1]}/{parts[3]}" if len(parts) == 4 else training.name
    runs = state == "running"
    doing = join(
        tag("span", None, learning.training_doing(training)),
        tag("div", {"class": "trainings-progress"}, progress(training.progress), units.share(training.progress))
        if runs
        else None,
    )
    base = training.spec.base_version.rpartition("/")[2] or units.NONE
    cells = (
        short,
        words.chip(state, _TONES.get(state, "")),
        doing,
        base,
        training.spec.region or "all regions",
        units.ago(training.create_time, now),
    )
    return Row(cells, key=training.name, tone="bad" if state == "failed" else "")
