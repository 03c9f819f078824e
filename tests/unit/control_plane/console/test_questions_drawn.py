"""Questions, figures and traces as they are drawn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control_plane.console.markup import Seen, harmless
from tests.unit.control_plane.console.traces import escalated, span
from upriver.v1 import question_pb2 as pb
from upriver.v1 import train_pb2
from upriver_control.console.asked import Asked, read
from upriver_control.console.drawing import (
    afterwards,
    again,
    cascade,
    hops,
    latency,
    question_figures,
    question_form,
    question_list,
    score,
    verdict,
    waterfall,
)
from upriver_control.console.drawing import (
    given as given_input,
)
from upriver_control.console.drawing.again import Answer
from upriver_control.console.ladder import USUAL, in_order
from upriver_control.console.words import tier_class

SCRIPT = '"><script>alert(1)</script>'
nasty = st.text(max_size=40) | st.sampled_from([SCRIPT, "javascript:alert(1)", "</title>", "' onclick='x"])


def test_a_row_says_who_answered_why_how_sure_and_how_long_it_took() -> None:
    seen = Seen(question_list.listed([escalated().question], Asked(), USUAL, older=False))
    for words in ("22:13:20", "digits", "device-1", "far-2", "confident", "0.910 ≥ 0.800", "20 ms", "hedged"):
        assert words in seen.text
    assert [a["href"] for a in seen.named("a") if "data-item" in a] == ["/questions/" + "ab" * 16]


def test_a_failed_question_has_no_answerer_and_stands_out() -> None:
    failed = pb.Question(trace="1", agent="a", reason="QUEUE_FULL", flags=[pb.QUESTION_FLAG_FAILED])
    seen = Seen(question_list.draw([failed], USUAL, ""))
    assert "failed" in seen.text
    assert seen.named("tr")[1]["class"] == "bad"


def test_an_empty_list_says_what_to_do() -> None:
    assert "upriver infer" in question_list.listed([], Asked(), USUAL, older=False)
    assert "fits these filters" in question_list.listed([], read([("model", "x")]), USUAL, older=False)


def test_each_filter_that_is_set_can_be_taken_away() -> None:
    asked = read([("model", "digits"), ("flag", "degraded"), ("flag", "failed"), ("hops", "1"), ("last", "never")])
    seen = Seen(question_form.chosen(asked))
    assert [a["href"] for a in seen.named("a")] == [
        "/questions?flag=degraded&flag=failed&hops=1",
        "/questions?model=digits&flag=failed&hops=1",
        "/questions?model=digits&flag=degraded&hops=1",
        "/questions?model=digits&flag=degraded&flag=failed",
        "/questions",
    ]
    assert "last = 'never': expected one of 15m" in seen.text


def test_each_field_of_the_form_has_a_label() -> None:
    seen = Seen(question_form.draw(read([("model", "gone")]), question_form.Known(models=["digits"], agents=["a"])))
    fields = {a["id"] for a in seen.named("input") + seen.named("select")}
    assert fields == {a["for"] for a in seen.named("label")}
    assert {"value": "gone", "selected": None} in seen.named("option")


def test_the_form_asks_for_each_flag_that_the_address_has() -> None:
    seen = Seen(question_form.draw(read([("flag", "degraded"), ("flag", "failed")]), question_form.Known()))
    assert {"value": "degraded", "selected": None} in seen.named("option")
    hidden = [field for field in seen.named("input") if field["type"] == "hidden"]
    assert hidden == [{"type": "hidden", "name": "flag", "value": "failed"}]


def test_figures_are_stacked_by_tier_and_each_share_leads_to_what_it_counts() -> None:
    told = pb.SummarizeQuestionsResponse(kept=30, estimated=120)
    told.bins.add(by_tier={"device": 60, "cloud": 30}).low.FromMilliseconds(1)
    told.bins[0].high.FromMilliseconds(2)
    told.bins.add(by_tier={"": 30}).low.FromMilliseconds(2)
    told.bins[1].high.FromMilliseconds(4)
    told.answered_tiers.add(name="cloud", count=30)
    told.answered_tiers.add(name="", count=30)
    told.answered_tiers.add(name="device", count=60)
    told.reasons.add(name="confident", count=120)
    told.p50.FromMicroseconds(1500)
    told.p95.FromMicroseconds(3900)
    seen = Seen(question_figures.draw(told, read([("model", "m")]), USUAL))
    heights = [a["style"] for a in seen.classed("fill") if (a["style"] or "").startswith("height")]
    assert heights == ["height:33.33%", "height:66.67%", "height:33.33%"]
    assert [a["href"] for a in seen.named("a")] == [
        "/questions?model=m&answered=device",
        "/questions?model=m&answered=cloud",
        "/questions?model=m&flag=failed",
        "/questions?model=m&reason=confident",
    ]
    assert "Of 30 that are kept, which stand for about 120" in seen.text
    assert "half took no longer than 1.5 ms, 95 of 100 no longer than 3.9 ms" in str(seen.classed("latency"))
    assert not question_figures.draw(pb.SummarizeQuestionsResponse(), Asked(), USUAL)


def test_a_verdict_is_one_sentence_in_large_letters() -> None:
    assert verdict.split("a-1.2 answered: 0.13, where it takes 0.1. It took 2 ms. Fine.") == (
        "a-1.2 answered: 0.13, where it takes 0.1.",
        "It took 2 ms. Fine.",
    )
    seen = Seen(verdict.draw(escalated(), USUAL))
    assert seen.elements[0] == ("p", {"class": "verdict"})
    assert seen.texts[0] == "far-2 (far-edge) answered, because it was sure enough: 0.91, where it takes 0.80."
    assert "https://tempo.example/trace/" + "ab" * 16 in [a["href"] for a in seen.named("a")]


def test_the_agent_that_answered_stands_out_and_the_others_say_what_they_did() -> None:
    seen = Seen(cascade.draw(escalated().hops, "far-2", USUAL))
    assert [a["class"] for a in seen.classed("step")] == ["step tier-0 onward", "step tier-1 answered"]
    assert "not sure: asked on" in seen.text


@pytest.mark.parametrize(
    ("outcome", "words"), [("cancelled", "also asked; cancelled, another answered"), ("failed", "also asked; failed")]
)
def test_who_was_asked_beside_the_way_stands_after_it_and_nothing_leads_there(outcome: str, words: str) -> None:
    trace = escalated()
    trace.hops[0].tries[0].outcome = outcome
    trace.hops.add(span="e" * 16, agent="far-1", tier="far-edge", error="CANCELLED", number=2)
    trace.hops.add(span="f" * 16, agent="near-1", tier="near-edge", number=3)
    trace.hops[2].tries.add(agent="near-1", cause="first", outcome="answered")
    seen = Seen(cascade.draw([trace.hops[number] for number in (0, 2, 3, 1)], "far-2", USUAL))
    drawn = [(a["class"] or "").split()[2:] for a in seen.classed("step")]
    assert drawn == [["onward"], ["answered"], ["beside"], ["beside"]]
    assert words in seen.text
    assert ("failed" in seen.text) == (outcome == "failed")


def test_where_nobody_answered_those_who_failed_are_the_way() -> None:
    failed = escalated()
    for one in failed.hops[0].tries[:2]:
        one.outcome = "failed"
    assert [hop.agent for hop in cascade.split(failed.hops)[0]] == ["device-1", "far-2"]
    assert cascade.split([]) == ([], [])


def test_all_spans_are_on_one_axis() -> None:
    seen = Seen(waterfall.draw(escalated().spans, USUAL))
    assert [a["style"] for a in seen.classed("wf-bar")] == [
        "left:0.000%;width:100.000%",
        "left:40.000%;width:50.000%",
        "left:45.000%;width:30.000%",
    ]
    assert [a["class"] for a in seen.classed("wf-bar")] == [
        "wf-bar serve tier-0",
        "wf-bar call tier-0",
        "wf-bar serve tier-1",
    ]
    assert seen.classed("wf-event")[0]["title"] == "asks another beside one that is late far-2"
    assert "asks far-2" in seen.text


@pytest.mark.parametrize("length_s", [1e-9, 3e-6, 0.0057, 1.0, 99.9, 86_400.0])
def test_ticks_are_few_and_within_the_axis(length_s: float) -> None:
    ticks = waterfall.Axis(0.0, length_s).ticks()
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] <= length_s * (1 + 1e-9)


def test_more_spans_than_can_be_drawn_are_counted() -> None:
    told = pb.GetTraceResponse()
    for index in range(waterfall.MAX_SPANS + 5):
        span(told, f"{index:016x}", "", "x", "a", index, 1, 0, {})
    assert "5 more spans are not drawn" in waterfall.draw(told.spans, USUAL)


def test_a_hop_tells_its_tries_rows_bytes_and_the_name_of_its_version() -> None:
    seen = Seen(hops.draw(escalated().hops, USUAL, {"sha256:" + "1" * 64: "v7"}))
    for words in ("v7 111111111111", "beside one that was late", "another was faster", "passed over", "breaker_open",
                  "1.21 KiB", "2 rows", "went up", "It gave far-2's answer", "It gave its own answer"):  # fmt: skip
        assert words in seen.text


def test_what_came_of_it_is_linked_and_what_is_unknown_is_told() -> None:
    trace = escalated()
    seen = Seen(afterwards.draw(trace))
    assert "/questions/" + "cd" * 16 in [a["href"] for a in seen.named("a")]
    assert "answered_by operator" in seen.text
    unknown = Seen(afterwards.unknown(trace))
    assert "the spans of far-1" in unknown.text
    assert "far-2: 2 s behind, estimated from how its calls lie; its times are corrected" in unknown.text
    assert not afterwards.unknown(pb.GetTraceResponse())
    assert "Nothing is known to have come of it" in afterwards.draw(pb.GetTraceResponse())


KEPT = pb.GetQuestionInputResponse()


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (pb.GetQuestionInputResponse(source="lesson", label="nine", labelled_by="far-1"), "in its lesson, from far-1"),
        (pb.GetQuestionInputResponse(source="lessons", label="nine"), "in its lesson, from above"),
        (pb.GetQuestionInputResponse(source="ticket", label="nine", labelled_by="far-1"), "best guess in its ticket"),
    ],
)
def test_the_first_answer_stands_beside_the_others_with_where_it_is_kept(
    kept: pb.GetQuestionInputResponse, shown: str
) -> None:
    told = pb.AskAgainResponse(label="one", answered_by="x")
    seen = Seen(again.draw(escalated().question, kept, [Answer("v1", told)]))
    assert "nine" in seen.texts
    assert shown in seen.text
    assert "They differ: nine, one." in seen.text
    assert "not kept" in Seen(again.draw(escalated().question, KEPT, [Answer("v1", told)])).text


def test_answers_stand_side_by_side_and_it_is_told_when_they_differ() -> None:
    first = escalated().question
    told = [pb.AskAgainResponse(label=label, score=0.5, threshold=0.4, answered_by="x") for label in ("seven", "one")]
    drawn = again.draw(
        first, KEPT, [Answer("v1", told[0]), Answer("v2", told[1]), Answer("v3", problem="gone"), Answer("v4")]
    )
    seen = Seen(drawn)
    assert len(seen.named("tr")) == 6
    for words in ("They differ: one, seven.", "gone", "asked …", "The first time"):
        assert words in seen.text
    assert not again.draw(first, KEPT, [])


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (pb.AskAgainResponse(label="1"), "<strong>1</strong>"),
        (pb.AskAgainResponse(label="1", score=0.62), "confidence 0.620; what it was held against is not told"),
        (pb.AskAgainResponse(label="1", score=0.62, threshold=0.0), "threshold 0.000: sure enough"),
    ],
)
def test_what_an_answer_does_not_tell_is_not_drawn_as_nought(told: pb.AskAgainResponse, shown: str) -> None:
    drawn = again.draw(pb.Question(), pb.GetQuestionInputResponse(), [Answer("v1", told)])
    assert shown in drawn
    assert ("0.000" in drawn) == told.HasField("threshold")


def test_an_input_is_shown_as_a_picture_or_in_numbers_or_it_is_said_why_not() -> None:
    png = Seen(given_input.draw(pb.GetQuestionInputResponse(png=b"\x89PNG", source="ticket"), 0, 1, "/questions/x"))
    assert png.named("img")[0]["src"] == "data:image/png;base64,iVBORw=="
    numbers = train_pb2.HandedInput(name="x", datatype="FP32", shape=[2], data=b"\0\0\x80\x3f\0\0\0\x40")
    assert "1, 2" in Seen(given_input.draw(pb.GetQuestionInputResponse(inputs=[numbers]), 0, 1, "/x")).text
    refused = Seen(given_input.draw(pb.GetQuestionInputResponse(unavailable="it is sealed"), 1, 3, "/questions/x"))
    assert "It is sealed." in refused.text
    assert [a["href"] for a in refused.named("a")] == ["/questions/x?row=0", "/questions/x?row=2"]


@pytest.mark.parametrize(
    ("value", "threshold", "words"),
    [
        (0.4, 0.7, "confidence 0.400, threshold 0.700: not sure enough"),
        (0.7, 0.7, "confidence 0.700, threshold 0.700: sure enough"),
        (0.7, math.inf, "confidence 0.700; nothing is enough"),
        (-1.7976931348623157e308, 0.7, "confidence -∞, threshold 0.700: not sure enough"),
        (0.7, None, "confidence 0.700; what it was held against is not told"),
        (None, 0.7, "no confidence is told"),
    ],
)
def test_a_confidence_is_told_in_words_too(value: float | None, threshold: float | None, words: str) -> None:
    assert score.told(value, threshold) == words


real = st.floats(allow_nan=True, allow_infinity=True)


@given(real, st.none() | real, st.lists(st.none() | real, max_size=4))
def test_any_confidence_can_be_drawn(value: float, threshold: float | None, others: list[float | None]) -> None:
    for scale in (score.scale_of([value, threshold, *others]), score.around(threshold)):
        seen = Seen(score.with_numbers(value, threshold, scale))
        for rect in seen.named("rect"):
            assert 0 <= float(rect["width"] or "nan") <= 96


def test_tiers_have_their_order_and_colour() -> None:
    assert in_order({"cloud", "zoo", "device"}) == ["device", "cloud", "zoo"]
    assert [tier_class(tier, USUAL) for tier in ("device", "cloud", "zoo")] == ["tier-0", "tier-3", "tier-none"]
    assert latency.legend(["", "cloud"], USUAL).count("failed") == 2


@given(nasty)
def test_no_name_that_somebody_exports_is_run(name: str) -> None:
    trace = escalated()
    for message in (trace.question, *trace.hops, *trace.spans, *trace.later, *trace.clocks):
        for field in message.DESCRIPTOR.fields:
            if field.type == field.TYPE_STRING and not field.is_repeated:
                setattr(message, field.name, name)
    trace.hops[0].tries[0].agent = trace.hops[0].tries[0].message = trace.why = trace.url = name
    trace.spans[0].attributes["upriver.tier"] = trace.spans[1].events[0].attributes["upriver.message"] = name
    trace.missing.append(name)
    trace.hops[0].notes.append(name)
    asked = read([("q", name), ("model", name), ("last", name), ("flag", name)])
    known = question_form.Known([name], [name], [name], [name], [name])
    told = pb.AskAgainResponse(label=name, answered_by=name, trace=name)
    for drawn in (
        question_list.listed([trace.question], asked, [name], older=True),
        question_form.draw(asked, known),
        question_form.chosen(asked),
        verdict.draw(trace, USUAL),
        waterfall.draw(trace.spans, [name]),
        hops.draw(trace.hops, USUAL, {name: name}),
        afterwards.draw(trace),
        afterwards.unknown(trace),
        again.draw(
            trace.question,
            pb.GetQuestionInputResponse(label=name, labelled_by=name),
            [Answer(name, told), Answer(name, problem=name)],
        ),
        given_input.draw(pb.GetQuestionInputResponse(unavailable=name), 0, 2, name),
    ):
        assert harmless(drawn)
