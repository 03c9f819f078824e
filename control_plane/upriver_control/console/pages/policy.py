"""The policies of one model: what is certified, what else was possible, and whether audits bear it out."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from nicegui import ui

from upriver.v1 import policy_pb2 as pb
from upriver_control.console import words
from upriver_control.console.asking import Refused, or_refused
from upriver_control.console.drawing import calibration as result
from upriver_control.console.drawing import monitors
from upriver_control.console.drawing import policies as drawing
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.policy_news import Audits, Policies, PolicyNews
from upriver_control.console.site import Frame, Part, Site, when_changed
from upriver_control.telling import policies as telling
from upriver_control.telling.names import short

_EVERY_S: Final = 1.0
_AUDITS_EVERY_S: Final = 3.0
_PLACES: Final = frozenset(map(str, range(100)))
"""Where a slider in an address may stand."""
_MOVED: Final = '(event) => event.target.matches("[data-what-if]") && emit(event.target.value)'


def add(site: Site) -> None:
    """Registers `/policies/{model}`."""

    @site.page("/policies/{model}")
    async def one(model: str, calibration: str = "", what_if: str = "") -> None:
        news = PolicyNews(site.remote, model, calibration)
        with site.frame(f"Policies of {model}", "/policies") as frame:
            page = _Page(frame, model, calibration, int(what_if) if what_if in _PLACES else -1)
            await frame.live(Feed(lambda: or_refused(polled(news.policies, _EVERY_S))), when_changed(page.show))
            await frame.live(site.feed(f"audits {model}", lambda: _audits(news)), when_changed(page.show_audits))


def _audits(news: PolicyNews) -> Feed[Audits | Refused]:
    return Feed(lambda: or_refused(polled(news.audits, _AUDITS_EVERY_S)))


class _Page:
    """What one browser looks at: `at` is where its slider stands, below 0 where it was not touched."""

    def __init__(self, frame: Frame, model: str, calibration: str, at: int) -> None:
        self._model, self._calibration, self._at = model, calibration, at
        self._told: Policies | None = None
        self._audited: Audits | Refused | None = None
        self._outcome = frame.part(tag("p", {"class": "quiet"}, "No news of its policies yet."))
        with ui.element("section").classes("card").props('aria-label="What if"') as self._card:
            self._slider: Part = frame.part()
            self._asked = frame.part()
        self._policies = frame.part()
        self._audits = frame.part()
        self._slider.element.on("input", self._moved, js_handler=_MOVED)

    def show(self, told: Policies | Refused) -> None:
        if isinstance(told, Refused):
            self._outcome.set(words.problem(told.why, "All policies are at /policies."))
            return
        self._told = told
        slider = draw_slider(told.calibration, max(0, self._at))
        self._slider.set(slider)
        self._card.set_visibility(bool(slider))
        self._policies.set(draw_policies(self._model, told))
        self._draw_ask()
        self._draw_audits()  # which are told by policies' names

    def show_audits(self, told: Audits | Refused) -> None:
        self._audited = told
        self._draw_audits()

    def _draw_audits(self) -> None:
        told = self._audited
        if isinstance(told, Refused):
            self._audits.set(words.problem(told.why))
        elif told is not None:
            self._audits.set(draw_audits(self._model, told, self._told.policies if self._told else ()))

    def _moved(self, event: Any) -> None:
        self._at = int(event.args)
        query = {"calibration": self._calibration, "what_if": str(self._at)}
        written = urlencode({key: value for key, value in query.items() if value})
        ui.navigate.history.replace(f"/policies/{quote(self._model)}?{written}")
        self._draw_ask()

    def _draw_ask(self) -> None:
        if self._told is None:
            return
        calibration = self._told.calibration
        known = calibration is not None and 0 <= self._at < len(calibration.result.what_if)
        ask = calibration.result.what_if[self._at] if calibration is not None and known else None
        self._outcome.set(draw_outcome(self._model, self._told, ask))
        self._asked.set(result.asked(calibration, self._at) if calibration is not None and known else Markup())


def draw_outcome(model: str, told: Policies, ask: pb.WhatIf | None) -> Markup:
    """What the calibration that is looked at came to, or how far it is."""
    one = told.calibration
    if one is None:
        command = f"upriver policy calibrate {model} --data PATH --max-loss 0.5%"
        return tag("div", {"class": "card"}, words.nothing(f"{model} was not calibrated yet.", command))
    heading = tag("h2", {"id": "outcome"}, f"Calibration {short(one.name)}")
    attributes = {"class": "card", "aria-labelledby": "outcome", "data-calibration": one.name}
    if one.HasField("result"):
        return tag("section", attributes, heading, result.outcome(one, ask))
    state = f"{telling.state_name(one)}, {100 * one.progress:.0f} % done: {one.doing or one.reason}"
    return tag("section", attributes, heading, tag("p", None, state))


def draw_slider(calibration: pb.Calibration | None, at: int) -> Markup:
    """The slider over other targets, where there are any."""
    found = None if calibration is None else result.slider(calibration, at)
    return found if found is not None else Markup()


def draw_policies(model: str, told: Policies) -> Markup:
    """The result tier by tier, the certificates of its policies, all policies and all calibrations."""
    one = told.calibration
    made = [tier.policy for tier in one.result.tiers] if one is not None else []
    running = [policy for policy in told.policies if policy.name in made or policy.agents]
    running.sort(key=lambda policy: made.index(policy.name) if policy.name in made else len(made))
    return _stack(
        tag("section", {"class": "card"}, result.tiers(one)) if one is not None and one.HasField("result") else None,
        tag("h2", None, "What is certified, of those that run or were made by this calibration") if running else None,
        tag("div", {"class": "columns"}, drawing.certificates(running)) if running else None,
        _card(drawing.policies(told.policies, link=False)) if told.policies else None,
        _card(drawing.calibrations(told.calibrations, short(one.name) if one else "")) if told.calibrations else None,
    )


def draw_audits(model: str, told: Audits, known: Sequence[pb.Policy]) -> Markup:
    """How audits stand, agent by agent, and counted."""
    return _stack(
        tag("h2", None, "Do audits bear it out?"),
        _card(monitors.monitors(model, told.agents)),
        tag("p", {"class": "quiet"}, f"Agents: the first {len(told.agents):,} of {told.fleet:,} were looked at.")
        if len(told.agents) < told.fleet
        else None,
        _card(monitors.audits(model, told.audits, known)),
    )


def _stack(*content: Markup | None) -> Markup:
    return tag("div", {"class": "stack"}, *content)


def _card(content: Markup) -> Markup:
    return tag("section", {"class": "card"}, content)
