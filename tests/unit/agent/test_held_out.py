"""What is held out in the journal, as heads of a region are tried on it."""

import pytest

from tests.unit.agent.learning.world import MODEL, TOP, World
from upriver_agent.held_out import JournalHoldout
from upriver_agent.learning import holdout


def test_the_mark_differs_when_other_questions_have_taken_the_places_of_the_oldest(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "MOST", 20)
    world = World(tmp_path)
    found = JournalHoldout(world.journal, world.slots.active)
    digest = world.version.digest
    marks, held = [], []
    for _ in range(3):
        world.audits(20)
        marks += [found.mark(MODEL, digest), found.mark(MODEL, digest)]
        held.append(found.held_out(MODEL, digest, TOP))
    world.close()
    assert marks[::2] == marks[1::2]
    assert len(set(marks)) == 3
    assert [len(one.labels) for one in held if one is not None] == [20] * 3
