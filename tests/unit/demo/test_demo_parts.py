"""The demo's pure parts: what makes a trace complete, what the summary says, what the options accept."""

import argparse

import numpy as np
import pytest

from demo.collector import SeenSpan, is_complete
from demo.options import Kill, parse_delays, parse_kill
from demo.tally import Tally, Told, links_per_hop, local_share, loss

PATH = ("device-1", "far-edge-1", "cloud-1")
SPANS = (
    SeenSpan("upriver.serve", "a", "", "device-1"),
    SeenSpan("upriver.escalate", "b", "a", "far-edge-1"),
    SeenSpan("upriver.serve", "c", "b", "far-edge-1"),
    SeenSpan("upriver.escalate", "x", "c", "near-edge-1"),  # tried and failed
    SeenSpan("upriver.escalate", "d", "c", "cloud-1"),
    SeenSpan("upriver.serve", "e", "d", "cloud-1"),
)


def told(label="7", tier="device"):
    facts = {"path": ("device-1",), "resolved": True, "degraded": False, "reason": "confident", "trace_id": ""}
    return Told(label=label, tier=tier, version=f"{tier}-v1", bytes_up=0, latency_ms=1.0, **facts)


def test_a_trace_with_every_hop_under_its_parent_is_complete():
    assert is_complete(SPANS, PATH)
    assert is_complete(SPANS[:1], PATH[:1])


@pytest.mark.parametrize("missing", [0, 1, 2, 4, 5])
def test_a_trace_that_lacks_a_hop_is_not(missing):
    assert not is_complete(SPANS[:missing] + SPANS[missing + 1 :], PATH)


def test_a_hop_under_the_wrong_parent_is_not_complete():
    wrong = SeenSpan("upriver.serve", "e", "b", "cloud-1")
    assert not is_complete((*SPANS[:-1], wrong), PATH)
    assert not is_complete((), ())


def test_a_hedged_trace_is_complete_though_an_agent_served_twice():
    hedge = (
        SeenSpan("upriver.serve", "c2", "x", "near-edge-1"),
        SeenSpan("upriver.escalate", "d2", "c2", "cloud-1"),
        SeenSpan("upriver.serve", "e2", "d2", "cloud-1"),
    )
    assert is_complete((*SPANS, *hedge), PATH)
    assert is_complete((*hedge, *SPANS), PATH)
    assert not is_complete((*hedge, *SPANS[:-1]), PATH)


def test_the_summary_counts_what_was_told():
    tally = Tally(request_bytes=800)
    tally.add(told("7"), "7")
    tally.add(
        Told(
            "1",
            "cloud",
            "device-v1",
            PATH,
            resolved=False,
            degraded=True,
            reason="top",
            trace_id="t",
            bytes_up=2400,
            latency_ms=9.0,
        ),
        "2",
    )
    tally.fail("UNAVAILABLE")
    summary = tally.summary({"device": 0.9}, 3, 1)
    assert summary["questions"] == 3
    assert summary["accuracy"] == {"cascade": round(1 / 3, 4), "device": 0.9}
    assert summary["answered_by"] == {"cloud": 0.5, "device": 0.5}
    assert (summary["unresolved"], summary["degraded"], summary["failed"]) == (1, 1, 1)
    # From the far edge straight to the cloud lie two links: what went up twice crossed three.
    assert (summary["bytes_up_per_question"], summary["bytes_send_all"]) == (1800.0, 2400)
    assert (summary["bytes_saved"], summary["local_share"]) == (0.25, 0.5)
    assert tally.summary({}, 3, 1, audits=1)["bytes_up_per_question"] == 3000.0
    assert summary["traces"] == {"sampled": 1, "complete": 1}
    assert (tally.by_version["device-v1"], tally.right_by_version["device-v1"]) == (2, 1)


def test_loss_is_against_the_top_whatever_is_right():
    tally = Tally(request_bytes=800)
    tally.add(told("7"), "7", number=0, index=1)
    tally.add(told("3", "far-edge"), "3", number=1, index=0)
    tally.add(told("3", "cloud"), "3", number=2, index=0)
    top = np.array([3, 1])
    assert loss(tally.answered, top) == 1 / 3
    assert local_share(tally.answered) == 2 / 3
    assert (loss([], top), local_share([])) == (0.0, 0.0)


def test_a_hop_past_tiers_crosses_their_links():
    assert links_per_hop(("device-1", "far-edge-1", "near-edge-1", "cloud-1")) == 1.0
    assert links_per_hop(("device-2", "cloud-1")) == 3.0
    assert links_per_hop(("device-1",)) == 1.0


def test_kill_and_delays_are_read():
    assert parse_kill("near-edge@3s") == Kill("near-edge", 3.0)
    assert parse_kill("cloud@0.5") == Kill("cloud", 0.5)
    assert parse_delays("5,15,40") == (5.0, 15.0, 40.0)


@pytest.mark.parametrize("text", ["near-edge", "device@1s", "moon@1s", "cloud@x", "cloud@-1", "cloud@nan"])
def test_a_wrong_kill_is_refused_with_what_is_expected(text):
    with pytest.raises(argparse.ArgumentTypeError, match="TIER@SECONDS"):
        parse_kill(text)


@pytest.mark.parametrize("text", ["5", "1,2,x", "1,2,3,4", "-1,2,3", "1,2,1e9"])
def test_wrong_delays_are_refused_with_what_is_expected(text):
    with pytest.raises(argparse.ArgumentTypeError, match="three delays"):
        parse_delays(text)
