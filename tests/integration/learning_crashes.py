"""Kills an agent's learning at random points, again and again, and looks each time at what the next start finds.

Run as a program: `python -m tests.integration.learning_crashes FOLDER POINTS SEED`. It has no thread and forks a worker
for each point, which begins with looking at what is on the disk; the last one is not killed. What a worker was told to
be kept it notes in a file, unbuffered, so that it can be looked for. Each turn of a worker it tells through a pipe: a
point is some turns and a moment, so that a slow machine kills at the same places.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from tests.unit.agent.learning.world import MODEL, NEW, World
from upriver.errors import UpriverError
from upriver.policies import rules_digest
from upriver_agent.learning.attempts import AttemptBook
from upriver_agent.learning.trials import listing
from upriver_agent.lessons.lesson import Choice

MOST_TURNS, LONGEST_S = 4, 0.08


def work(folder: Path, seed: int, for_ever: bool, turns: int) -> None:
    """Looks at what is there, then learns, forgets and is held until it is killed; writes a byte for each turn."""
    world = World(folder, seed=seed)
    world.numbers = seed << 32
    notes = os.open(folder / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    look(world, (folder / "notes").read_text().splitlines())
    chance = random.Random(seed)  # noqa: S311 - a test's course, no secret
    while for_ever:
        os.write(turns, b".")
        what = chance.random()
        if what < 0.6:
            made = world.lessons(25, source=str(chance.randrange(4)))
            os.write(notes, b"".join(f"kept {one.id}\n".encode() for one in made))
            world.audits(60)
        elif what < 0.9:
            source = str(chance.randrange(4))
            ids = [one.id for one in world.book.every(Choice(source=source))]
            os.write(notes, b"".join(f"going {id_}\n".encode() for id_ in ids))
            world.book.forget(Choice(source=source))
            os.write(notes, b"".join(f"gone {id_}\n".encode() for id_ in ids))
        else:
            world.learner.hold(MODEL, True)
            world.learner.hold(MODEL, False)
        world.learner.step()
    promoted = sum(one.promoted for one in world.journal.read(lambda connection: listing(connection, MODEL)))
    os.write(notes, f"whole {promoted}\n".encode())
    world.close()


def look(world: World, notes: list[str]) -> None:
    """Fails unless what is on the disk is whole, nothing is lost, nothing came back, and every promotion was proven."""
    world.learner.step()
    lessons = list(world.book.all_of(MODEL, world.version.digest))
    here = {one.id for one in lessons}
    told = {word: {note.split()[1] for note in notes if note.startswith(word)} for word in ("kept", "going", "gone")}
    assert not told["gone"] & here, "what was forgotten came back"
    assert told["kept"] <= told["going"] | here, f"{len(told['kept'] - told['going'] - here)} lessons are lost"

    assert world.statistics().lessons == len(lessons), "the sums are those of the journal"

    trials = world.journal.read(lambda connection: listing(connection, MODEL))
    numbers = [one.trial.attempt for one in trials]
    assert len(set(numbers)) == len(numbers), "two tests with one number"
    attempts = AttemptBook(world.folder / "state")
    keys = attempts._all()
    assert sum(one.number for one in keys.values()) >= max(numbers, default=0), "a test that was not counted"

    answering = world.answering
    if world.learnt:
        policy = answering.policy.document
        certificate = policy.certificate
        assert certificate is not None
        assert certificate.rules == rules_digest(policy)
        (tried,) = [one for one in trials if one.head == policy.head and one.trial.passed][:1]
        assert tried.trial.p_loss <= tried.trial.delta
        assert world.right(NEW) > 0.5, "what answers is whole"
        learnt_from = sum(one.seq <= tried.until for one in lessons)
        assert learnt_from == tried.lessons, "what answers has learnt what is there, and nothing that was forgotten"


def main(folder: Path, points: int, seed: int) -> int:
    """Gives how many workers failed instead of being killed."""
    chance = random.Random(seed)  # noqa: S311 - a test's course, no secret
    failed = 0
    for point in range(points + 1):
        last = point == points
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)  # so that a worker whose parent is gone finds nobody to tell its turns, and ends
            try:
                work(folder, seed * 1000 + point, not last, told)
            except (AssertionError, UpriverError) as error:
                print(f"point {point}: {type(error).__name__}: {error}", flush=True)
                os._exit(1)
            os._exit(0)
        os.close(told)
        if not last:
            for _ in range(chance.randint(0, MOST_TURNS)):
                os.read(heard, 1)
            time.sleep(chance.uniform(0.0, LONGEST_S))
            os.kill(child, signal.SIGKILL)
        os.close(heard)
        _, status = os.waitpid(child, 0)
        failed += os.waitstatus_to_exitcode(status) not in ((0,) if last else (0, -signal.SIGKILL))
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
