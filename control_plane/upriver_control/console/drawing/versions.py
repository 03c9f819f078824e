"""A model's versions: a table of them, their lineage, and two of them side by side."""

from collections.abc import Mapping, Sequence
from typing import Final

from upriver.v1 import registry_pb2, train_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing import lineage
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.telling.names import short

WIDE: Final = 1160.0
NARROW: Final = 320.0


def maker(version: registry_pb2.Version, trainings: Mapping[str, train_pb2.Training]) -> str:
    """Who made a version: the training that did, its parent and data, or that it was published as it is."""
    training = trainings.get(version.name)
    if training is not None:
        lessons = training.result.lessons
        return f"trained from {short(training.spec.base_version)} on {lessons:,} lesson{'' if lessons == 1 else 's'}"
    parts = [f"published, from {short(version.lineage.parent)}" if version.lineage.parent else "published"]
    return ", ".join([*parts, *([version.lineage.training_data] if version.lineage.training_data else [])])


def versions(
    model: str,
    found: Sequence[registry_pb2.Version],
    trainings: Mapping[str, train_pb2.Training],
    agents: Mapping[str, int],
) -> Markup:
    """Versions, newest first, with how many agents answer with each (by version's name) and a button to roll it out."""
    if not found:
        command = f"upriver model publish FOLDER  # its manifest.toml says name = {model!r}"
        return words.nothing(f"{model} has no version yet.", command, "It is tried, signed, and shown here at once.")
    columns = (
        Column("Version"),
        Column("Called"),
        Column("Agents", numbers=True),
        Column("Published", narrow=False),
        Column("Size", numbers=True, narrow=False),
        Column("One row", numbers=True, narrow=False),
        Column("Made by", narrow=False),
        Column("Digest", narrow=False),
        Column("Ask"),
    )
    rows = [_row(one, trainings, agents.get(one.name, 0)) for one in found]
    return table(f"{len(found)} versions, newest first; agents that answer with each now", columns, rows)


def lines(
    model: str,
    found: Sequence[registry_pb2.Version],
    trainings: Mapping[str, train_pb2.Training],
    agents: Mapping[str, int],
) -> Markup:
    """Which version was made from which, as a picture."""
    prefix = f"models/{model}/versions/"
    made = [
        lineage.Made(
            short(one.name),
            one.lineage.parent.removeprefix(prefix),
            f"{units.day(one.create_time)} · {maker(one, trainings)}",
            tuple(one.aliases),
            agents.get(one.name, 0),
        )
        for one in found
    ]
    return join(
        tag("div", {"class": "wide"}, lineage.draw(made, model, WIDE)),
        tag("div", {"class": "narrow"}, lineage.draw(made, model, NARROW)),
    )


def _row(one: registry_pb2.Version, trainings: Mapping[str, train_pb2.Training], agents: int) -> Row:
    tried = one.validation
    golden = f"{tried.golden_rows} golden rows came out" if tried.golden_rows else "no golden rows"
    speed = units.ms(tried.invoke_ms / 1e3)
    start = {"type": "button", "id": f"start-{one.name}", "data-ask": "START", "data-name": one.name}
    cells = (
        tag("span", {"data-version": one.name}, short(one.name)),
        join(*(words.chip(f"@{alias}") for alias in one.aliases)),
        f"{agents:,}",
        units.day(one.create_time),
        units.size(sum(file.size_bytes for file in one.files)),
        tag("span", {"title": f"median of one row on {tried.runtime} in the control plane's trial; {golden}"}, speed),
        maker(one, trainings),
        tag("span", {"class": "mono", "title": one.digest}, words.digest(one.digest)),
        tag("button", start, "Roll out…"),
    )
    return Row(cells, key=one.name)
