"""Why a question's way ended, in words: what docs/cascade.md says of each reason."""

from collections.abc import Mapping
from typing import Final

from upriver.parameters import Reason

WHY_ENDED: Final[Mapping[str, str]] = {
    Reason.TOP: "there is no higher tier to ask",
    Reason.MODE: "the caller asked for a local answer only",
    Reason.MAX_TIER: "the caller allows no higher tier",
    Reason.HOPS: "no hops were left, or the question had been here before",
    Reason.DEADLINE: "the time that was left was needed for the way back, or ran out while an upstream was asked",
    Reason.BYTE_BUDGET: "sending it up would have taken more bytes than the question had left",
    Reason.REGION: "all agents above are in another region, and the caller wants its own only",
    Reason.UPSTREAM_DOWN: "no agent above could be reached that is well and serves the model",
    Reason.BREAKER_OPEN: "those above were being left alone, as they kept failing",
    Reason.UPSTREAM_FULL: "those above had no room for it",
    Reason.ALARM: "a lower tier looked sure, but what it is sure of is in doubt at present, so it was asked higher up",
    Reason.ANSWERED: "a person answered",
}
"""`confident` is not among them: the scores say it."""
