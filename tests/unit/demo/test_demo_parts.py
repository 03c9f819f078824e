"""The demo's pure parts: what makes a trace complete, what the summary says, what the options accept."""

import argparse

import numpy as np
import pytest

from demo.options import Kill, parse_delays, parse_kill, parse_rate, read_options
from demo.tally import Tally, Told, links_per_hop, local_share, loss
from demo.traces import is_complete

PATH = ("device-1", "far-edge-1", "cloud-1")
HOPS = tuple(enumerate(PATH))


def told(label="7", tier="device"):
    facts = {"path": ("device-1",), "resolved": True, "degraded": False, "reason": "confident", "trace_id": ""}
    return Told(label=label, tier=tier, version=f"{tier}-v1", bytes_up=0, latency_ms=1.0, **facts)


def test_a_trace_with_every_hop_at_its_place_is_complete():
    assert is_complete(HOPS, PATH)
    assert is_complete(HOPS[:1], PATH[:1])
    assert is_complete((*HOPS, (1, "near-edge-1"), (2, "far-edge-1")), PATH)  # hedged


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_trace_that_lacks_a_hop_is_not(missing):
    assert not is_complete(HOPS[:missing] + HOPS[missing + 1 :], PATH)


def test_a_hop_at_another_place_is_not_complete():
    assert not is_complete((*HOPS[:-1], (1, PATH[-1])), PATH)
    assert not is_complete((), ())


@pytest.mark.parametrize("text", ["-1", "101", "many", "nan"])
def test_a_rate_that_is_none_is_refused(text):
    assert parse_rate("0") == 0
    assert parse_rate("2.5") == 2.5
    with pytest.raises(argparse.ArgumentTypeError, match="expected 0 to 100"):
        parse_rate(text)


def test_a_rate_is_two_questions_a_second_unless_told_and_none_where_nothing_is_asked_afterwards(monkeypatch, capsys):
    def read(*arguments):
        monkeypatch.setattr("sys.argv", ["scripts/demo", *arguments])
        return read_options().rate

    assert (read(), read("--once"), read("--rate", "5"), read("--learn", "--rate", "0")) == (2.0, 2.0, 5.0, 0.0)
    with pytest.raises(SystemExit):
        read("--once", "--rate", "5")
    assert "--rate: expected without --once" in capsys.readouterr().err


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
