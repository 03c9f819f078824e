"""Policies of all models, and calibrations that are worked on."""

import asyncio
from typing import Final

from upriver.v1 import policy_pb2 as pb
from upriver_control.console import words
from upriver_control.console.drawing import policies as drawing
from upriver_control.console.drawing.svg import Markup, tag
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site, when_changed

_EVERY_S: Final = 1.0
Listed = tuple[pb.ListPoliciesResponse, pb.ListCalibrationsResponse]


def add(site: Site) -> None:
    """Registers `/policies`."""

    async def fetch() -> Listed:
        policies = site.remote.policies.ListPolicies(pb.ListPoliciesRequest(parent="models/-", page_size=200))
        calibrations = site.remote.policies.ListCalibrations(
            pb.ListCalibrationsRequest(parent="models/-", page_size=20)
        )
        told = await asyncio.gather(policies, calibrations)
        return told[0], told[1]

    @site.page("/policies")
    async def policies() -> None:
        feed = site.feed("policies", lambda: Feed(lambda: polled(fetch, _EVERY_S)))
        with site.frame("Policies", "/policies") as frame:
            part = frame.part(tag("p", {"class": "quiet"}, "No news of policies yet."))
            await frame.live(feed, when_changed(lambda told: part.set(draw(told))))


def draw(listed: Listed) -> Markup:
    """All policies, newest first, and the newest calibrations."""
    policies, calibrations = listed
    if not policies.policies and not calibrations.calibrations:
        command = "upriver policy calibrate MODEL --data PATH --max-loss 0.5%"
        then = "Until then agents answer by the thresholds of their versions' manifests, of which nothing is certified."
        return tag("div", {"class": "card"}, words.nothing("No policy yet.", command, then))
    return tag(
        "div",
        {"class": "stack"},
        tag("section", {"class": "card"}, drawing.policies(policies.policies, link=True))
        if policies.policies
        else None,
        tag("section", {"class": "card"}, drawing.calibrations(calibrations.calibrations))
        if calibrations.calibrations
        else None,
    )
