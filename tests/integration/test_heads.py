"""Heads of a real agent: learnt from a real teacher, proven on real audits, kept over kill -9, undone by command."""

import json
import sqlite3
from contextlib import closing
from itertools import count

import numpy as np

from tests.agent_process import running, until, write_config
from tests.versions import LABELS, make_version
from upriver import Client
from upriver.cli.root import run
from upriver.head_statistics import nothing, write_statistics
from upriver_agent.predictor import open_predictor
from upriver_agent.versions import open_version

LADDER = ["device", "cloud"]
NEVER, ALWAYS = 2.0, 0.0
WAIT_S = 60
LEARNS = """
[cascade]
trust = "network"
[audits]
per_s = 10000.0
[learning]
trust = "network"
access = "network"
holdout = 0.4
max_loss = 0.2
confidence = 0.8
"""


def images(seed, rows):
    """Images that a small model tells apart: darker, brighter, striped this way or that."""
    rng = np.random.default_rng(seed)
    made = rng.random((rows, 14, 14, 1), dtype=np.float32)
    made *= rng.uniform(0.2, 4.0, (rows, 1, 1, 1)).astype(np.float32)
    made[::3, ::2] = 0.0
    made[1::3, :, ::2] = 0.0
    return made


def write_prior(folder, state):
    """Adds the sums over some images, as the version itself labels them, to a version; `state` is for opening it."""
    version = open_version(folder, state)
    found = open_predictor(version).predict({"image": images(1, 600)})
    sums = nothing(found.embedding.shape[1], LABELS)
    for embedding, scores in zip(found.embedding, found.scores, strict=True):
        sums.add(embedding, np.eye(len(LABELS))[int(scores.argmax())])
    np.savez(folder / "prior.npz", **write_statistics(sums))


def heads(agent, capsys):
    capsys.readouterr()
    assert run(["lessons", "heads", "pattern", "--agent", agent.address, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["models"][0]


def ask(agent, seed, rows=40):
    with Client(agent.address) as client:
        return [answer.agent for answer in client.infer("pattern", images(seed, rows))]


def test_what_a_device_asked_above_it_answers_itself_once_that_is_proven(tmp_path, capsys):
    above = write_config(tmp_path, "cloud-1", "cloud", LADDER, [make_version(tmp_path, "cloud", ALWAYS)], LEARNS)
    with running(above, "cloud-1", "cloud") as cloud:
        version = make_version(tmp_path, "device", NEVER)
        config = write_config(tmp_path, "device-1", "device", LADDER, [version], LEARNS, [cloud])
        write_prior(version, tmp_path / "aside")
        with running(config, "device-1") as agent:
            assert set(ask(agent, 2)) == {"cloud-1"}
            seeds = count(3)  # which questions are held out is chance: some more may be needed

            def promoted():
                ask(agent, next(seeds), 80)
                return any(one["answers"] for one in heads(agent, capsys)["trials"])

            until(promoted, WAIT_S, "a promotion")
            told = heads(agent, capsys)
            (tried,) = [one for one in told["trials"] if one["answers"]]
            assert tried["losses"] <= 0.2 * tried["questions"]
            assert tried["p_loss"] <= tried["delta"] < 0.2
            assert "device-1" in ask(agent, 1000)
            agent.kill()
        with closing(sqlite3.connect(tmp_path / "device-1" / "lessons.db")) as kept:
            both = "SELECT (SELECT count(*) FROM lesson), (SELECT count(*) FROM held_out), count(*) FROM lesson"
            taught, held_out, shared = kept.execute(f"{both} JOIN held_out USING (question, row)").fetchone()
        assert min(taught, held_out) > 40
        assert shared == 0, "what is held out never teaches"
        with running(config, "device-1") as agent:
            assert "device-1" in ask(agent, 1001), "what was promoted answers after kill -9"
            assert [one["head"] for one in heads(agent, capsys)["trials"] if one["answers"]] == [tried["head"]]
            at = ["--agent", agent.address]
            assert run(["lessons", "heads", *at]) == 0
            assert "answers" in capsys.readouterr().out
            assert run(["lessons", "revert", "pattern", *at]) == 0
            assert set(ask(agent, 1002)) == {"cloud-1"}
            assert run(["lessons", "revert", "pattern", *at]) == 1
            assert "nothing that was learnt here answers" in capsys.readouterr().err
            assert heads(agent, capsys)["held"]
            assert run(["lessons", "resume", "pattern", *at]) == 0
            assert not heads(agent, capsys)["held"]
            assert run(["lessons", "hold", "nothing", *at]) == 1
