"""The control plane's own spans are kept as others are, with links to the questions that they come of."""

import logging

from bench.many_spans import Mesh, span_ids
from upriver.tracing import Attribute, SpanName
from upriver_control.spans.facts import LinkFacts
from upriver_control.spans.intake import Intake
from upriver_control.spans.own import MAX_CHILDREN, OwnSpans
from upriver_control.spans.store import SpanStore, open_spans

MESH = Mesh()


def test_a_training_is_found_from_each_of_its_questions(tmp_path):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    store = SpanStore(database)
    intake = Intake(store, lambda: MESH.began_ns)
    questions = [LinkFacts(MESH.trace(index), span_ids(MESH, index)[0]) for index in range(2000)]
    trace = OwnSpans(intake, "control-1").tell(
        SpanName.TRAIN, "trainings/1", (MESH.began_ns, MESH.began_ns + 5), {Attribute.MODEL: "digits"}, questions
    )
    intake.start()
    intake.close()
    first, *children = store.trace(trace)
    assert (first.name, first.service, first.agent, first.length_ns) == (
        "upriver.train",
        "upriver-control",
        "control-1",
        5,
    )
    assert first.attributes == {Attribute.MODEL: "digits", Attribute.LESSONS: 2000}
    assert len(children) == MAX_CHILDREN
    assert {child.parent for child in children} == {first.span}
    assert all(child.attributes == first.attributes for child in children), "whoever finds one knows what it is of"
    assert [later.name for later in store.later(MESH.trace(0))] == ["upriver.train"]
    assert [later.name for later in store.later(MESH.trace(500))] == ["upriver.train.lessons"]
    assert store.later(MESH.trace(1999)) == []
    database.close()


def test_who_tells_the_same_again_has_it_kept_once(tmp_path):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    store = SpanStore(database)
    intake = Intake(store, lambda: MESH.began_ns)
    questions = [LinkFacts(MESH.trace(index), span_ids(MESH, index)[0]) for index in range(200)]
    for instance in ("control-1", "control-2"):
        trace = OwnSpans(intake, instance).tell(SpanName.ROLLOUT, "rollouts/r", (1, 2), {}, questions)
    intake.start()
    intake.close()
    assert [span.name for span in store.trace(trace)] == ["upriver.rollout"] * 2, "one, and one below it for links"
    assert len(store.later(MESH.trace(150))) == 1
    database.close()


def test_what_can_t_be_kept_is_logged_and_disturbs_nobody(tmp_path, caplog):
    database = open_spans(f"sqlite:///{tmp_path}/spans.sqlite")
    intake = Intake(SpanStore(database))
    intake.close()
    with caplog.at_level(logging.WARNING):
        OwnSpans(intake, "control-1").tell(SpanName.ROLLOUT, "rollouts/r", (1, 2), {})
    assert "closing" in caplog.text
    database.close()
