"""Agents that die, hang or leave while they are asked: the client says so in time and goes on with another."""

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import upriver
from tests.agent_process import running, write_config
from tests.freezing import freeze
from tests.versions import make_version

IMAGE = np.zeros((14, 14, 1), np.float32)
ENDLESS = 1_000_000


@pytest.fixture
def pair(tmp_path):
    """Two agents with the same model."""
    model = make_version(tmp_path, "1", 0.0)
    one, two = (write_config(tmp_path, name, "device", ["device"], [model]) for name in ("one", "two"))
    with running(one, "one") as first, running(two, "two") as second:
        yield first, second


ENDINGS = [
    (signal.SIGKILL, upriver.Unreachable),
    (signal.SIGTERM, upriver.Draining),
    (signal.SIGSTOP, upriver.DeadlineExpired),
]


def interrupted(answers, after, do):
    """Goes through answers, and does something after some of them."""
    for number, answer in enumerate(answers, 1):
        assert answer.agent == "one"
        if number == after:
            do()


async def interrupted_async(answers, after, do):
    number = 0
    async for _ in answers:
        number += 1
        if number == after:
            do()


@pytest.mark.parametrize(("ending", "error"), ENDINGS, ids=["killed", "drained", "hung"])
def test_a_stream_tells_what_became_of_its_agent_and_the_next_goes_elsewhere(pair, ending, error):
    one, two = pair
    with upriver.Client([one.address, two.address], timeout=2.0) as client:
        answers = client.stream("pattern", (IMAGE for _ in range(ENDLESS)))
        with pytest.raises(error, match=one.address):
            interrupted(answers, 50, lambda: one.process.send_signal(ending))
        assert [answer.agent for answer in client.stream("pattern", [IMAGE] * 3)] == ["two"] * 3


@pytest.mark.parametrize(("ending", "error"), ENDINGS, ids=["killed", "drained", "hung"])
def test_asyncio_is_told_the_same(pair, ending, error):
    one, two = pair

    async def ask():
        async with upriver.AsyncClient([one.address, two.address], timeout=2.0) as client:
            answers = client.stream("pattern", (IMAGE for _ in range(ENDLESS)))
            with pytest.raises(error, match=one.address):
                await interrupted_async(answers, 50, lambda: one.process.send_signal(ending))
            return [answer.agent async for answer in client.stream("pattern", [IMAGE] * 3)]

    assert asyncio.run(ask()) == ["two"] * 3


def test_questions_go_on_while_an_agent_drains(pair):
    one, two = pair
    with upriver.Client([one.address, two.address], timeout=10.0) as client:
        seen = [client.infer("pattern", IMAGE).agent for _ in range(20)]
        one.process.send_signal(signal.SIGTERM)
        while seen[-1] != "two" and len(seen) < 100_000:
            seen.append(client.infer("pattern", IMAGE).agent)
        assert seen[0] == "one"
        assert seen[-1] == "two"
        assert one.process.wait(30) == 0


def test_a_call_ends_at_its_deadline_though_the_agent_hangs(pair):
    one, _ = pair
    with upriver.Client(one.address, retries=5) as client:
        client.infer("pattern", IMAGE)
        freeze(one.process.pid)
        began = time.monotonic()
        with pytest.raises(upriver.DeadlineExpired, match=one.address):
            client.infer("pattern", IMAGE, timeout=0.3)
        assert 0.25 < time.monotonic() - began < 60
        one.process.send_signal(signal.SIGCONT)
        assert client.infer("pattern", IMAGE).agent == "one"


def test_a_full_agent_is_left_for_another(tmp_path):
    model = make_version(tmp_path, "1", 0.0)
    narrow = "[serving]\nmax_inflight = 1\n"
    one = write_config(tmp_path, "one", "device", ["device"], [model], narrow)
    two = write_config(tmp_path, "two", "device", ["device"], [model])

    async def ask(addresses):
        async with upriver.AsyncClient(addresses, timeout=20.0, retries=20) as client:
            await client.metadata("pattern")
            return await asyncio.gather(*(client.infer("pattern", IMAGE) for _ in range(100)))

    with running(one, "one") as first, running(two, "two") as second:
        answers = asyncio.run(ask([first.address, second.address]))
    assert len(answers) == 100
    assert "two" in {answer.agent for answer in answers}


def test_closing_a_client_ends_what_its_other_threads_wait_for(pair):
    one, _ = pair
    with upriver.Client(one.address, timeout=30, retries=5) as client, ThreadPoolExecutor(1) as pool:
        client.infer("pattern", IMAGE)
        freeze(one.process.pid)
        waiting = pool.submit(client.infer, "pattern", IMAGE)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        client.close()
        with pytest.raises(upriver.CallerGone, match="closed"):
            waiting.result(10)
