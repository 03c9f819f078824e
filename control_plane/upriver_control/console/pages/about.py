"""What this control plane is, and how the store of spans is."""

from nicegui import ui

from upriver.v1 import question_pb2
from upriver_control.console import units, words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site

_EVERY_S = 2.0


def add(site: Site) -> None:
    """Registers `/about`."""

    @ui.page("/about")
    async def about() -> None:
        feed = site.feed(
            "span store",
            lambda: Feed(
                lambda: polled(lambda: site.remote.questions.GetSpanStore(question_pb2.GetSpanStoreRequest()), _EVERY_S)
            ),
        )
        with site.frame("About", "/about") as frame:
            frame.part(words.facts(("Version", site.settings.version)))
            store = frame.part(tag("p", {"class": "quiet"}, "No figures of the store of spans yet."))
            await frame.live(feed, lambda told: store.set(draw(told)))


def draw(store: question_pb2.GetSpanStoreResponse) -> Markup:
    """The store of spans in words."""
    oldest = units.day(store.oldest_time) if store.HasField("oldest_time") else units.NONE
    forwarded = f"{store.forward}, {units.count(store.forward_lag)} spans wait" if store.forward else "nowhere"
    return join(
        tag("h2", None, "Store of spans"),
        words.problem(store.trouble) if store.trouble else None,
        words.facts(
            ("Kept", f"{units.count(store.spans)} spans"),
            ("Room", f"{units.size(store.bytes)} of {units.size(store.max_bytes)}"),
            ("Oldest", oldest),
            ("Came since the start", f"{units.count(store.received)}, {units.count(store.duplicates)} of them again"),
            ("Refused since the start", f"{units.count(store.rejected)} spans, {units.count(store.refused)} calls"),
            ("Passed on to", forwarded),
            ("Lost before they were passed on", units.count(store.forward_lost) if store.forward else None),
            ("Connected, but sending none", ", ".join(store.silent_agents) or "nobody"),
        ),
    )
