"""Agents' facts for tests, in few words."""

from dataclasses import replace

from upriver_control.observed import AgentFacts, Counters, Failure, Pair, SlotFacts, SlotState
from upriver_control.rollout import Ring, Rollout, Strategy

OLD = Pair("models/digits/versions/1", "sha256:" + "1" * 64)
NEW = Pair("models/digits/versions/2", "sha256:" + "2" * 64)
NEWER = Pair("models/digits/versions/3", "sha256:" + "3" * 64)


def agent(number, slot=None, connected=True, since=0.0, **labels):
    name = f"a{number:05d}"
    known = {"agent": name, "tier": "device", "region": "eu", **labels}
    slots = {} if slot is None else {"digits": slot}
    return AgentFacts(name, known, connected, 0.0, slots, ("device", "cloud"), connected_since=since)


def active(pair=OLD, previous=None, rows=0, escalated=0, failures=0, bucket=40, **more):
    counters = Counters(rows, escalated, failures, {bucket: rows} if rows else {})
    return SlotFacts(active=pair, previous=previous, state=SlotState.ACTIVE, counters=counters, **more)


def failed(pair=NEW, failure=Failure.GOLDEN, reason="sample 3 came out as 7", **more):
    return replace(active(**more), candidate=pair, state=SlotState.FAILED, failure=failure, reason=reason)


def fleet(count, slot=None, **more):
    return {facts.agent: facts for facts in (agent(number, slot or active(), **more) for number in range(count))}


def put(agents, name, slot, **changes):
    agents[name] = replace(agents[name], slots={"digits": slot}, **changes)


def rings(*sizes):
    return tuple(Ring(count=size) if isinstance(size, int) else Ring(percent=size) for size in sizes)


def rollout(**more):
    strategy = more.pop("strategy", Strategy())
    made = Rollout("r1", NEW, "digits", created=0.0, strategy=strategy, generation=7)
    return replace(made, **more)
