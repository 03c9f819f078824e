"""Real processes: devices, an agent above them and a control plane, of which some are killed and one moves."""

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.agent_process import running, until, write_config
from tests.control_plane_process import TIERS, control_plane
from upriver.head_statistics import HeadStatistics, nothing, shares_of, target_of
from upriver_agent.journal import Journal
from upriver_agent.lessons.book import BookOptions, LessonBook
from upriver_agent.lessons.lesson import Choice, Lesson
from upriver_agent.lessons.table import FILE
from upriver_agent.teaching import SCHEMA
from upriver_control.store.database import open_database
from upriver_control.store.pools import PoolTable

VERSION = "sha256:" + "a" * 64
WIDTH = 16
POOLING = '[cascade]\ntrust = "network"\n[learning]\npool_s = 0.1\n[resilience.breaker]\nfirst_pause_s = 0.2\n'


def lesson(number: int) -> Lesson:
    chance = np.random.default_rng(number)
    label = "abcd"[number % 4]
    return Lesson(
        question=f"q{number}",
        row=0,
        model="m",
        version_digest=VERSION,
        embedding=chance.normal(size=WIDTH).astype(np.float16),
        student_label="a",
        student_confidence=0.1,
        known=0.0,
        label=label,
        probabilities={label: 0.8},
        teacher="cloud",
        teacher_tier="cloud",
        policy="",
        teacher_confidence=0.9,
        trace_id="",
        at=time.time(),
        draw=0.5,
        content=number.to_bytes(16),
        source="",
    )


class Kept:
    """The lessons of an agent that does not run."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(exist_ok=True)
        self._journal = Journal(state_dir / FILE, SCHEMA, durable=True)

    def __enter__(self) -> LessonBook:
        self._journal.start()
        return LessonBook(self._journal, BookOptions(1 << 26, 1e6, 1, 0.4))

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def central(numbers) -> HeadStatistics:
    sums = nothing(WIDTH, tuple("abcd"))
    for number in numbers:
        one = lesson(number)
        sums.add(one.embedding, target_of(sums.labels, shares_of(one.label, one.probabilities, ())))
    return sums


def pooled(database, numbers) -> bool:
    """Whether what the control plane has is what one place would have that had seen these lessons."""
    parts = PoolTable(database, 0.0).sums("m", VERSION)
    if len(parts) != 1 or not isinstance(parts[0].sums, HeadStatistics):
        return False
    found, whole = parts[0].sums, central(numbers)
    if found.labels != whole.labels or abs(found.lessons - whole.lessons) > 0.1:
        return False
    np.testing.assert_allclose(found.outer, whole.outer, atol=1e-6)
    np.testing.assert_allclose(found.toward, whole.toward, atol=1e-6)
    return True


@pytest.fixture
def plane(tmp_path):
    with control_plane(tmp_path / "control") as process:
        yield process


def test_what_devices_have_learnt_reaches_the_control_plane_once_whoever_is_killed_or_moves(tmp_path, plane) -> None:
    for number, name in enumerate(("one", "two")):
        with Kept(tmp_path / name) as book:
            book.offer([lesson(100 * number + n) for n in range(20)])
    joining = f'{POOLING}[control_plane]\njoin = "{plane.join}"\n'
    database = open_database(f"sqlite:///{plane.state}/control.db")
    edge = write_config(tmp_path, "edge-a", "far-edge", TIERS, [], joining)

    def device(name: str, *above, more: str = POOLING):
        return running(write_config(tmp_path, name, "device", TIERS, [], more, above), name, "device")

    learnt = [*range(20), *range(100, 120)]
    with ExitStack() as stack:
        first = stack.enter_context(running(edge, "edge-a", "far-edge"))
        stack.enter_context(device("one", first))
        two = stack.enter_context(device("two", first))
        until(lambda: pooled(database, learnt), what="both devices' lessons")
        assert set(PoolTable(database, 0.0).roster()) == {"one", "two", "edge-a"}
        plane.kill()
        plane.start()
        two.kill()
        with Kept(tmp_path / "two") as book:  # forgotten while a merge is under way above
            assert book.forget(Choice(ids=("q100.0", "q101.0"))) == 2
        stack.enter_context(device("two", more=joining))  # it moves, to the control plane
        learnt = [n for n in learnt if n not in (100, 101)]
        until(lambda: pooled(database, learnt), what="the lessons without those that were forgotten")
        first.kill()
        before = PoolTable(database, 0.0).roster()["edge-a"]
        write_config(tmp_path, "edge-a", "far-edge", TIERS, [], joining, listen=first.address)
        stack.enter_context(running(edge, "edge-a", "far-edge"))  # it has forgotten its children, who have theirs
        until(lambda: PoolTable(database, 0.0).roster()["edge-a"] > before, what="a word of the new parent")
        until(lambda: pooled(database, learnt), what="the lessons of those that came back to it")
    database.close()
