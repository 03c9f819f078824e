"""What the page *Learning* shows of rates: counts by region and step, with what began to answer there. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from upriver.v1 import fleet_pb2, mesh_pb2, region_pb2
from upriver_control.console.drawing.rates import Course, Mark, Step


def courses(rates: Iterable[mesh_pb2.Rate], marks: Mapping[str, Sequence[Mark]]) -> list[Course]:
    """Each region's course, by name: what was counted of all models together.

    A model of which nothing was counted in a step has the lessons that it had before.
    """
    rows: dict[str, dict[float, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    lessons: dict[str, dict[float, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for rate in rates:
        at = float(rate.time.seconds)
        rows[rate.region][at][0] += rate.rows
        rows[rate.region][at][1] += rate.escalated_rows
        lessons[rate.region][at][rate.model] += rate.lessons
    found = []
    for region, steps in sorted(rows.items()):
        level: dict[str, int] = {}
        made = []
        for at, (asked, escalated) in sorted(steps.items()):
            level |= lessons[region][at]
            made.append(Step(at, asked, escalated, sum(level.values())))
        found.append(Course(region, made, marks.get(region, ())))
    return found


def marks_of(
    heads: Iterable[region_pb2.RegionHead], agents: Iterable[fleet_pb2.Agent], model: str
) -> dict[str, list[Mark]]:
    """What began to answer, by region: heads that passed there, and what agents refined; of one model or all."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for head in heads:
        if head.state == "passed" and model in ("", head.model.removeprefix("models/")):
            found[head.region].append(Mark(head.create_time.seconds, f"head of {head.lessons:,.0f} lessons"))
    for agent in agents:
        for slot in agent.slots:
            if slot.reported.HasField("refined") and model in ("", slot.model.removeprefix("models/")):
                refined = slot.reported.refined
                name = agent.name.removeprefix("agents/")
                found[agent.region].append(Mark(refined.since_time.seconds, f"{name}: head of {refined.lessons:,}"))
    return {region: sorted(marks, key=lambda one: (one.at, one.words)) for region, marks in found.items()}
