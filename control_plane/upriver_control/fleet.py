"""Desired against reported, slot by slot: whether they differ, why in words, for how long and what is missing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from upriver_control.intent import Intent, Wish
from upriver_control.observed import AgentFacts, Failure, Pair, SlotFacts, SlotState

_NEEDS = {
    Failure.UNAVAILABLE: "a way to the files: its upstream agent or the control plane must be reachable",
    Failure.UNTRUSTED: "a version whose signatures and digests are as published; the agent tries again by itself",
    Failure.SELF_TEST: "a version that passes its self-test on this device",
    Failure.GOLDEN: "a version whose golden samples come out on this device",
    Failure.SHADOW: "a version that agrees with the active one on live questions",
    Failure.DISK: "room on its disk, or a disk that can be written",
}
_ON_ITS_WAY = {
    SlotState.STAGING: "its files are being fetched",
    SlotState.STAGED: "it is being verified",
    SlotState.VERIFIED: "it is being warmed",
    SlotState.WARMED: "it is warmed and about to become active",
}
_EMPTY = SlotFacts()


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot: `desired` is None where nothing is to run or nobody wants anything (`is_wanted` tells which).

    `difference` is empty when the slot is as desired; `different_for_s` is how long that has been wanted otherwise.
    """

    model: str
    is_wanted: bool
    desired: Pair | None
    rollout: str
    reported: SlotFacts
    difference: str
    different_for_s: float
    needs: str


def slots(agent: AgentFacts, intent: Intent, now: float) -> tuple[SlotView, ...]:
    """Every slot that the agent reports or somebody wants something of, by model."""
    wishes = intent.wishes(agent)
    return tuple(_view(agent, model, wishes, now) for model in sorted(agent.slots.keys() | wishes.keys()))


def in_sync(views: tuple[SlotView, ...]) -> bool:
    """Whether every slot is as desired."""
    return not any(view.difference for view in views)


def _view(agent: AgentFacts, model: str, wishes: Mapping[str, Wish], now: float) -> SlotView:
    slot, wish = agent.slots.get(model, _EMPTY), wishes.get(model)
    if wish is None:
        return SlotView(model, False, None, "", slot, "", 0.0, "")
    pair, rollout = wish.desired.pair, wish.desired.rollout
    difference, needs = _difference(agent, slot, pair)
    lasting_s = max(0.0, now - wish.since) if difference else 0.0
    return SlotView(model, True, pair, rollout, slot, difference, lasting_s, needs)


def _difference(agent: AgentFacts, slot: SlotFacts, pair: Pair | None) -> tuple[str, str]:
    at_rest = slot.candidate is None or (pair is not None and pair.is_same(slot.candidate))
    if pair is None:
        if slot.active is None and slot.candidate is None:
            return "", ""
        runs = slot.active or slot.candidate
        return f"it still has {_short(runs)}, and is to run nothing", _needs_contact(agent)
    if pair.is_same(slot.active) and (slot.candidate is None or pair.is_same(slot.candidate)):
        return "", ""
    instead = f"it runs {_short(slot.active)}" if slot.active is not None else "it runs nothing"
    if slot.state is SlotState.FAILED and at_rest and slot.candidate is not None:
        return f"{instead}: {_short(pair)} failed: {slot.reason or slot.failure}", _needs(slot)
    if agent.refusal:
        return f"{instead}: it refused what it was sent: {agent.refusal}", "what it refused to be mended"
    if not agent.connected:
        return f"{instead}: it is not connected", _needs_contact(agent)
    if slot.candidate is not None and pair.is_same(slot.candidate):
        if slot.state is SlotState.STAGING and slot.failure is not Failure.NONE:
            # An operator must not see the reason come and go with every try.
            return f"{instead}: {_short(pair)} is tried again: {slot.reason or slot.failure}", _needs(slot)
        return f"{instead}: {_ON_ITS_WAY.get(slot.state, 'the new one is on its way')}", ""
    return f"{instead}: it has been told, and has not begun", ""


def _needs(slot: SlotFacts) -> str:
    if slot.failure is Failure.UNFIT:
        return slot.reason or "another device, or a smaller version"
    return _NEEDS.get(slot.failure, "")


def _needs_contact(agent: AgentFacts) -> str:
    return "" if agent.connected else "a connection to the control plane"


def _short(pair: Pair | None) -> str:
    if pair is None:
        return "nothing"
    name = pair.version.rpartition("/")[2] or pair.version_digest[:19]
    return f"{name} with a policy of its own" if pair.policy_document else name
