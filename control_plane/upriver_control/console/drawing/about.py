"""What this control plane is and how its store of spans is, in words."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from upriver.v1 import fleet_pb2
from upriver.v1 import question_pb2 as pb
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Child, Markup, join, tag

_MAX_VERSIONS: Final = 8


def programs(version: str, agents: Iterable[fleet_pb2.Agent], total: int) -> Markup:
    """Versions of the control plane's program and of agents'; `total` is how many agents there are."""
    known = list(agents)
    counted = Counter(agent.program_version or "not told" for agent in known)
    told = [f"{name} ({units.count(count)})" for name, count in counted.most_common(_MAX_VERSIONS)]
    if len(counted) > _MAX_VERSIONS:
        told.append(f"{len(counted) - _MAX_VERSIONS} more")
    whose = "Agents" if len(known) >= total else f"Agents, the first {units.count(len(known))} of {units.count(total)}"
    return _section(
        "Versions", words.facts(("This control plane", version), (whose, ", ".join(told) or "none has joined"))
    )


def store(told: pb.GetSpanStoreResponse, now: datetime) -> Markup:
    """The store of spans: what is kept, came, was refused and is passed on."""
    return tag("div", {"class": "columns"}, _kept(told, now), _came(told), _passed_on(told), _silent(told))


def missing(told: pb.GetSpanStoreResponse) -> Markup:
    """What other pages miss while nothing can be kept; nothing where all is well."""
    if not told.trouble:
        return join()
    return words.problem(
        words.sentence(f"no spans can be kept: {told.trouble}"),
        "Of questions that were asked since then all or a part is missing here. Answers are not touched by it: agents "
        "keep spans and send them again.",
    )


def _kept(told: pb.GetSpanStoreResponse, now: datetime) -> Markup:
    oldest = units.NONE
    if told.HasField("oldest_time"):
        oldest = f"{units.day(told.oldest_time)}, {units.ago(told.oldest_time, now)}"
    room = units.size(told.bytes)
    if told.max_bytes:
        room = f"{room} of {units.size(told.max_bytes)}, {units.share(told.bytes / told.max_bytes)}"
    return _section(
        "Store of spans",
        words.problem(told.trouble, "Answers are not touched by it. What is shown may be missing questions.")
        if told.trouble
        else None,
        words.facts(("Kept", f"{units.count(told.spans)} spans"), ("Room", room), ("Oldest", oldest)),
        tag("p", {"class": "quiet"}, "No span has come yet: ask an agent something that it is not sure of.")
        if not told.spans and not told.trouble
        else None,
    )


def _came(told: pb.GetSpanStoreResponse) -> Markup:
    return _section(
        "Since this process began",
        words.facts(
            ("Came and were kept", f"{units.count(told.received)} spans"),
            ("Came again", f"{units.count(told.duplicates)} spans"),
            ("Refused for good", f"{units.count(told.rejected)} spans"),
            ("Told to come again", f"{units.count(told.refused)} calls"),
        ),
        tag("p", {"class": "quiet"}, "Refused for good are spans with wrong ids or more than 64 KiB.")
        if told.rejected
        else None,
    )


def _passed_on(told: pb.GetSpanStoreResponse) -> Markup:
    if not told.forward:
        return _section("Passed on", tag("p", None, "Nowhere: spans.forward is not set."))
    return _section(
        "Passed on",
        words.facts(
            ("To", told.forward),
            ("Waiting", f"{units.count(told.forward_lag)} spans"),
            ("Lost before their turn", f"{units.count(told.forward_lost)} spans since this process began"),
        ),
    )


def _silent(told: pb.GetSpanStoreResponse) -> Markup:
    title = "Agents that send no spans"
    if not told.silent_agents:
        return _section(
            title, tag("p", {"class": "good"}, "None: of every agent that was asked something there are some.")
        )
    links = [
        tag("li", None, tag("a", {"href": f"/fleet/{quote(agent, safe='')}"}, agent)) for agent in told.silent_agents
    ]
    return _section(
        title,
        tag("p", None, f"Connected and asked, and no span of theirs is here: {len(links):,}"),
        tag("ul", {"class": "needing"}, *links),
        tag(
            "p",
            {"class": "quiet"},
            "What was asked there is not in the list of questions; telemetry.export may be off there.",
        ),
    )


def _section(title: str, *children: Child) -> Markup:
    name = title.lower().replace(" ", "-")
    return tag("section", {"class": "card", "aria-labelledby": name}, tag("h2", {"id": name}, title), join(*children))
