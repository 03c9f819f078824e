"""One model: its rollouts live, its versions and where they come from, and two of them side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from upriver.v1 import registry_pb2
from upriver.v1 import rollout_pb2 as pb
from upriver_control.console import rollout_news, words
from upriver_control.console.asking import Refused, or_refused
from upriver_control.console.drawing import comparison, rollout_card, versions
from upriver_control.console.drawing.comparison import RANGES, Choice, Counted
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.model_news import ModelNews, Versions
from upriver_control.console.rollout_dialogs import RolloutDialogs
from upriver_control.console.site import Frame, Part, Site, when_changed
from upriver_control.telling import rollouts as telling
from upriver_control.telling.names import short

_EVERY_S: Final = 3.0
_RATES_EVERY_S: Final = 5.0
_SOON_S: Final = 0.3
_SPAN: Final = "1d"


def add(site: Site) -> None:
    """Registers `/models/{model}`."""

    @site.page("/models/{model}")
    async def one(model: str, a: str = "", b: str = "", region: str = "", range: str = _SPAN) -> None:  # noqa: A002 - the address's own word
        asked = Choice(a, b, region, range if range in RANGES else _SPAN)
        with site.frame(model, "/models") as frame:
            dialogs = RolloutDialogs(site.remote)
            await _rollouts(site, frame, dialogs, model)
            await _versions(site, frame, dialogs, model, asked)


async def _rollouts(site: Site, frame: Frame, dialogs: RolloutDialogs, model: str) -> None:
    part = frame.part(tag("p", {"class": "quiet"}, "No news of its rollouts yet."))
    dialogs.listen(part)
    feed = site.feed(f"rollouts {model}", lambda: Feed(lambda: rollout_news.follow(site.remote.rollouts, model)))
    await frame.live(feed, when_changed(lambda told: part.set(draw_rollouts(model, told))))


async def _versions(site: Site, frame: Frame, dialogs: RolloutDialogs, model: str, asked: Choice) -> None:
    news = ModelNews(site.remote, model)
    listed = frame.part(tag("p", {"class": "quiet"}, "No news of its versions yet."), "card")
    dialogs.listen(listed)
    form, compared, lines = frame.part(), frame.part(), frame.part()
    chosen: list[tuple[Choice, dict[str, str]]] = []

    def show(told: Versions | Refused) -> None:
        if isinstance(told, Refused):
            listed.set(words.problem(told.why, "All models are at /models."))
            return
        choice, digests = choose(asked, told), {short(one.name): one.digest for one in told.versions}
        chosen[:] = [(choice, digests)]
        listed.set(draw_versions(model, told))
        form.set(draw_form(model, told, choice))
        lines.set(draw_lines(model, told))

    feed = site.feed(f"versions {model}", lambda: Feed(lambda: or_refused(polled(news.versions, _EVERY_S))))
    await frame.live(feed, when_changed(show))
    await frame.live(Feed(lambda: _counted(news, chosen)), lambda told: _compare(compared, chosen, told), first=False)


async def _counted(news: ModelNews, chosen: list[tuple[Choice, dict[str, str]]]) -> AsyncIterator[Counted]:
    """What was counted of what is compared, again and again, once it is known what that is."""
    while True:
        comparing = bool(chosen) and bool(chosen[0][0].second)
        if comparing:
            yield await news.counted(chosen[0][0])
        await asyncio.sleep(_RATES_EVERY_S if comparing else _SOON_S)


def _compare(part: Part, chosen: list[tuple[Choice, dict[str, str]]], told: Counted) -> None:
    choice, digests = chosen[0]
    part.set(tag("section", {"class": "card", "aria-label": "Compared"}, comparison.draw(choice, digests, told)))


def choose(asked: Choice, told: Versions) -> Choice:
    """What is compared where the address does not say: the newest version with what it was made from, else with what
    its agents ran before it, else with the version before it."""
    found = told.versions
    names = [short(one.name) for one in found]
    first = asked.first if asked.first in names else next(iter(names), "")
    if asked.second in names:
        return Choice(first, asked.second, asked.region, asked.span)
    likely = [one for version in found if short(version.name) == first for one in _likely(version, told)]
    second = next((name for name in (*likely, *names) if name in names and name != first), "")
    return Choice(first, second, asked.region, asked.span)


def _likely(version: registry_pb2.Version, told: Versions) -> tuple[str, str]:
    return short(version.lineage.parent), short(told.before.get(version.name, ""))


def draw_rollouts(model: str, found: Sequence[pb.Rollout]) -> Markup:
    """A model's rollouts: those under way as cards, the others one a line."""
    going = [one for one in found if telling.state_name(one) not in telling.ENDED]
    over = [one for one in found if telling.state_name(one) in telling.ENDED]
    empty = None
    if not found:
        command = f"upriver rollout start {model}/VERSION --selector tier=device"
        empty = words.nothing(
            "Nothing of it was rolled out yet.", command, "Or press Roll out… beside a version below."
        )
    elif not going:
        empty = tag("p", {"class": "quiet"}, "No rollout is under way.")
    return tag(
        "section",
        {"class": "stack", "aria-labelledby": "rollouts"},
        tag("h2", {"id": "rollouts"}, "Rollouts"),
        empty,
        *(rollout_card.card(one) for one in going),
        tag("div", {"class": "card"}, rollout_card.ended(over)) if over else None,
    )


def draw_versions(model: str, told: Versions) -> Markup:
    """A model's versions."""
    return join(
        tag("h2", None, "Versions"),
        versions.versions(model, told.versions, told.trainings, told.agents),
        tag("p", {"class": "quiet"}, f"Agents: the first {told.looked_at:,} of {told.fleet:,} were looked at.")
        if told.looked_at < told.fleet
        else None,
    )


def draw_form(model: str, told: Versions, choice: Choice) -> Markup:
    """What is compared, to be chosen."""
    if not choice.second:
        return Markup()
    names = [short(one.name) for one in told.versions]
    return join(tag("h2", None, "Is one better than the other?"), comparison.form(model, names, told.regions, choice))


def draw_lines(model: str, told: Versions) -> Markup:
    """Which version was made from which."""
    if not told.versions:
        return Markup()
    return tag(
        "section",
        {"class": "card", "aria-labelledby": "lineage"},
        tag("h2", {"id": "lineage"}, "Where versions come from"),
        versions.lines(model, told.versions, told.trainings, told.agents),
    )
