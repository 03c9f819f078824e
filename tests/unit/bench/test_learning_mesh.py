"""That no lessons are lost can only be said where there were some and they could be read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bench import learning_mesh
from bench.learning_mesh import Pair, kills
from demo.digits import Digits
from demo.processes import DemoFailed


def journal(folder: Path, *statements: str) -> None:
    file = folder / "state-pupil" / "lessons.db"
    file.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file)) as made:
        for statement in statements:
            made.execute(statement)
        made.commit()


def test_a_journal_without_lessons_yet_has_none(tmp_path: Path) -> None:
    assert Pair(tmp_path).lessons("pupil") == set()
    journal(tmp_path, "CREATE TABLE other (id INTEGER)")
    assert Pair(tmp_path).lessons("pupil") == set()


def test_lessons_are_read_and_those_that_can_not_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    journal(tmp_path, "CREATE TABLE lesson (question TEXT, row INTEGER)", "INSERT INTO lesson VALUES ('q', 3)")
    assert Pair(tmp_path).lessons("pupil") == {("q", 3)}
    journal(tmp_path, "ALTER TABLE lesson RENAME COLUMN row TO place")
    with pytest.raises(DemoFailed, match="no such column"):
        Pair(tmp_path).lessons("pupil")


class Unheard(Pair):
    """Starts nothing, so that nobody answers."""

    def start_top(self) -> None:
        self.addresses = {"pupil": "127.0.0.1:1"}

    def start_device(self, *_: object) -> None:
        pass

    def wait_found(self, *_: object) -> None:
        pass


def test_where_nothing_was_learnt_nothing_is_said_of_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_mesh, "SETTLE_S", 0.0)
    with pytest.raises(DemoFailed, match="nothing could be lost"):
        kills(Unheard(tmp_path), Digits(np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, np.int64)), 0, 1)
