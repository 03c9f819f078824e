"""Trainings, lessons and lineages on the terminal."""

from collections.abc import Iterable, Sequence

import typer
from rich.markup import escape
from rich.table import Table

from upriver.cli.tables import print_table
from upriver.v1 import train_pb2 as pb
from upriver_control.telling.learning import training_doing, training_state
from upriver_control.telling.times import moment


def short(name: str) -> str:
    """`models/digits/trainings/4` as `digits/4`."""
    parts = name.split("/")
    return f"{parts[1]}/{parts[3]}" if len(parts) == 4 else name


def training_table(trainings: Iterable[pb.Training]) -> Table:
    """Trainings, one a line."""
    table = Table("training", "state", "made", "base", "region", "why", box=None, pad_edge=False)
    for one in trainings:
        made = moment(one.create_time)
        base, region = short(one.spec.base_version), one.spec.region or "all"
        table.add_row(short(one.name), training_state(one), made, base, escape(region), escape(training_doing(one)))
    return table


def print_training(training: pb.Training) -> None:
    """A training and what came out of it."""
    if not training.HasField("result"):
        told = training.doing or training.reason
        typer.echo(f"{training.name} {training_state(training)}, {100 * training.progress:.0f} %: {told}")
        return
    result = training.result
    typer.echo(f"{result.version} was trained from {training.spec.base_version} on {result.lessons} lessons")
    table = Table("held-out lessons of", "questions", "accuracy", "base", box=None, pad_edge=False)
    for one in result.evaluations:
        where = one.region or "(replayed)"
        table.add_row(escape(where), str(one.questions), f"{one.accuracy:.2%}", f"{one.base_accuracy:.2%}")
    print_table(table)
    for reason, count in sorted(result.left_out.items()):
        typer.echo(f"left out {count}: {reason}")
    if result.new_labels:
        typer.echo(f"new labels: {', '.join(result.new_labels)}")
    for what, name in (("calibrated as", result.calibration), ("rolled out as", result.rollout)):
        if name:
            typer.echo(f"{what} {name}")
    for note in (*result.notes, training.reason):
        if note:
            typer.echo(note)


def lesson_table(summaries: Iterable[pb.LessonSummary]) -> Table:
    """Lessons by region and date."""
    table = Table("region", "date", "lessons", "files", "bytes", "labels", box=None, pad_edge=False)
    for one in summaries:
        labels = ", ".join(f"{label} {count}" for label, count in sorted(one.labels.items()))
        table.add_row(escape(one.region), one.date, str(one.lessons), str(one.files), f"{one.size_bytes:,}", labels)
    return table


def print_lineage(ancestors: Sequence[pb.Ancestor]) -> None:
    """A version and what it was made of, then its parent, and so on."""
    for depth, one in enumerate(ancestors):
        indent = "  " * depth
        typer.echo(f"{indent}{one.version}  {one.digest[:19]}  {moment(one.create_time)}")
        lines = [one.training_data, one.conversion]
        lines += [f"{name} {value:.4g}" for name, value in sorted(one.metrics.items())]
        if one.HasField("training"):
            result = one.training.result
            lines += [
                f"code {result.code_digest}",
                f"data {result.data_digest}",
                f"lessons {result.lessons_digest} ({result.lessons} trained on, {result.holdout} held out)",
            ]
        lines += [f"certified by {policy}" for policy in one.policies]
        if one.source_digest:
            lines.append(f"Keras model {one.source_digest}")
        for line in lines:
            if line:
                typer.echo(f"{indent}    {line}")
