"""Lessons that were learnt here go into what is handed up once, and what is forgotten goes out with them."""

import numpy as np
import pytest

from tests.unit.agent.lessons.making import DIGEST, lesson, opened
from upriver.oip.v2 import inference_pb2 as oip
from upriver.tensors import Tensor
from upriver.v1 import train_pb2 as pb
from upriver_agent import wire
from upriver_agent.handing_up import own, spool
from upriver_agent.handing_up.own import Origin, OwnLessons
from upriver_agent.handing_up.spool import OVERHEAD
from upriver_agent.handing_up.table import STATEMENTS, WATCH
from upriver_agent.lessons.lesson import Choice
from upriver_agent.lessons.standing import Standing
from upriver_agent.place import Place
from upriver_agent.sealing import Seal

ORIGIN = Origin(Place("till-1", "device", "north", ("device", "cloud")), lambda agent, model: f"{model} of {agent}")
ROOM = 1 << 20
TABLES = (*STATEMENTS, *WATCH)


def kept_input(number):
    image = Tensor("image", "FP32", np.full((1, 2, 2), number, np.float32))
    name = Tensor("name", "BYTES", np.array([b"\xff\x00png"], object))
    return wire.write_request("digits", "", [image, name], {}, row_facts=False).SerializeToString()


def consented(number, **changes):
    return lesson(number, **{"consent": True, "input": kept_input(number)} | changes)


def waiting(book):
    return book.journal.read(lambda connection: spool.waiting(connection, 1000, 1 << 30))


def test_what_its_caller_agreed_to_have_kept_is_handed_up_once_and_as_it_is(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([lesson(1), consented(2), lesson(3, consent=True)])
        assert not mine.collect(ROOM)
        assert not mine.collect(ROOM)
        (entry,) = waiting(book)
        told = pb.HandedLesson.FromString(entry.body)
        assert (told.id, told.agent, told.tier, told.region) == (lesson(2).id, "till-1", "device", "north")
        assert (told.model, told.version_digest, told.label, told.own_label) == ("digits", DIGEST, "7", "1")
        assert dict(zip(told.labels, told.scores, strict=True)) == pytest.approx({"7": 0.9})
        assert (told.teacher_agent, told.teacher_version_digest) == ("cloud-1", "digits of cloud-1")
        assert told.learnt_time.ToNanoseconds() == 1002 * 10**9
        image, name = told.inputs
        assert (image.name, image.datatype, list(image.shape)) == ("image", "FP32", [2, 2])
        assert np.frombuffer(image.data, "<f4").tolist() == [2.0] * 4
        assert (name.datatype, list(name.shape), name.data) == ("BYTES", [], b"\xff\x00png")
    with opened(tmp_path, more=TABLES) as book:
        assert not OwnLessons(book, None, ORIGIN).collect(ROOM)
        assert len(waiting(book)) == 1


def test_a_look_costs_the_same_however_many_lessons_there_are(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine, costs, ticks = OwnLessons(book, None, ORIGIN), [], []
        mine.collect(ROOM)
        book.journal.write(lambda connection: connection.set_progress_handler(lambda: ticks.append(1), 10)).result()
        for most in (100, 2000):
            book.offer([consented(at) for at in range(most)])
            while mine.collect(1 << 30):
                pass
            ticks.clear()
            assert not mine.collect(1 << 30)
            costs.append(len(ticks))
        assert costs[1] <= costs[0] + 20, costs


def test_only_what_counts_is_handed_up(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        same = {"embedding": (1, 2, 3)}
        book.offer([consented(1, label="7", teacher="a", **same), consented(2, label="5", teacher="b", **same)])
        mine.collect(ROOM)
        assert waiting(book) == []
        book.offer([consented(3, label="5", teacher="c", **same)])
        mine.collect(ROOM)
        assert [entry.id for entry in waiting(book)] == [lesson(2).id]


def test_inputs_are_opened_before_they_go_and_those_that_do_not_open_stay(tmp_path):
    (tmp_path / "key").write_bytes(b"a" * 32)
    (tmp_path / "lost").write_bytes(b"b" * 32)
    seal, lost = Seal(tmp_path / "key"), Seal(tmp_path / "lost")
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, seal, ORIGIN)
        for number, key in ((1, seal), (2, lost)):
            one = consented(number, sealed=key.name)
            book.offer([consented(number, input=key.seal(one.input, one.id), sealed=key.name)])
        book.offer([consented(3, input=b"\xff")])
        assert not mine.collect(ROOM)
        assert [entry.id for entry in waiting(book)] == [lesson(1).id]
        oip.ModelInferRequest.FromString(kept_input(1))


def test_what_is_forgotten_is_handed_up_no_more_and_told_where_it_may_be_known(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([consented(number) for number in range(4)])
        mine.collect(ROOM)
        tried = waiting(book)[:2]
        book.journal.write(lambda connection: spool.trying(connection, tried)).result()
        assert book.forget(Choice(ids=(lesson(0).id, lesson(2).id))) == 2
        left = {entry.id: entry.forgotten for entry in waiting(book)}
        assert left == {lesson(0).id: True, lesson(1).id: False, lesson(3).id: False}
        mine.collect(ROOM)
        assert {entry.id: entry.forgotten for entry in waiting(book)} == left


def test_what_left_the_book_can_be_forgotten_above_by_its_id(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([consented(number) for number in range(4)])
        mine.collect(ROOM)
        sent = waiting(book)[:2]
        book.journal.write(lambda connection: spool.settle(connection, sent, [])).result()
        book.journal.write(lambda connection: connection.execute("DELETE FROM lesson WHERE seq IN (1, 3)")).result()
        ids = tuple(lesson(number).id for number in range(4))
        assert book.forget(Choice(ids=ids, label="7")) == 2  # of the others nobody knows their label
        assert {entry.id: entry.forgotten for entry in waiting(book)} == {ids[1]: True, ids[2]: False}
        assert book.forget(Choice(ids=(*ids, "a question"))) == 0
        assert {entry.id: entry.forgotten for entry in waiting(book)} == dict.fromkeys(ids, True)


def test_what_there_is_no_room_for_waits_in_the_book(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "MOST", 2)
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([consented(number) for number in range(5)])
        room = 3 * (400 + spool.OVERHEAD)
        while mine.collect(room):
            pass
        some = waiting(book)
        assert 0 < len(some) < 5
        while mine.collect(ROOM):
            pass
        assert len(waiting(book)) == 5


def test_what_leaves_the_book_before_it_could_be_handed_up_is_counted(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([lesson(1), consented(2), consented(3)])
        mine.collect(ROOM)
        book.offer([lesson(4), consented(5), consented(6)])
        book.forget(Choice(ids=(lesson(1).id, lesson(2).id, lesson(4).id, lesson(5).id)))
        assert book.journal.read(spool.tally)["missed"] == 1


def test_what_a_teacher_in_quarantine_said_goes_up_no_more_until_it_is_believed_again(tmp_path):
    with opened(tmp_path, more=TABLES) as book:
        mine = OwnLessons(book, None, ORIGIN)
        book.offer([consented(number, teacher="liar") for number in range(3)] + [consented(3, teacher="other")])
        mine.collect(ROOM)
        book.journal.write(lambda connection: spool.trying(connection, waiting(book)[:1])).result()
        while not book.standings().get("liar", Standing()).quarantined:
            book.contradicted("liar", "sha256:up", agreed=False)
        left = [lesson(0).id, lesson(3).id]  # the first may be known above
        assert not mine.collect(ROOM)
        assert [entry.id for entry in waiting(book)] == left
        told = book.journal.read(spool.tally)
        assert (told["bytes"], told["withdrawn"]) == (sum(len(one.body) + OVERHEAD for one in waiting(book)), 2)
        assert book.release("liar") == 3
        mine.collect(ROOM)
        assert [entry.id for entry in waiting(book)] == [*left, lesson(1).id, lesson(2).id]


def test_a_lesson_that_is_larger_than_anybody_takes_keeps_no_other_from_going(tmp_path):
    large = Tensor("image", "UINT8", np.zeros((1, 3 << 20), np.uint8))
    request = wire.write_request("digits", "", [large], {}, row_facts=False).SerializeToString()
    with opened(tmp_path, more=TABLES) as book:
        book.offer([consented(1, input=request), consented(2)])
        OwnLessons(book, None, ORIGIN).collect(8 << 20)
        assert [entry.id for entry in waiting(book)] == [lesson(2).id]
