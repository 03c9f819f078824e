"""Interpreters that pairs of one version share: one user at a time, none forgotten, and gone with the last pair."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.versions import make_version
from upriver.tensors import Array
from upriver_agent.policy import make_policy
from upriver_agent.predictor import Prediction
from upriver_agent.serving.contract import Contract
from upriver_agent.serving.interpreters import Interpreters
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion
from upriver_agent.versions import Version, open_version


class OneAtATime:
    """A predictor that notices when two use it at once."""

    def __init__(self) -> None:
        self.used = threading.Lock()
        self.clashes = 0

    def predict(self, arrays: Mapping[str, Array]) -> Prediction:
        if not self.used.acquire(blocking=False):
            self.clashes += 1
            return Prediction(None, None, {})
        threading.Event().wait(0.0005)  # others run meanwhile
        self.used.release()
        return Prediction(None, None, {})


def pair(version: Version, interpreters: Interpreters) -> LoadedVersion:
    policy = make_policy(version.manifest.policy_document(version.digest))

    def score(_: Prediction) -> Any:
        return np.zeros(1)

    return LoadedVersion(version, policy, Contract([]), (), AnswerForm(), score, interpreters)


def test_two_pairs_never_use_an_interpreter_at_once_and_all_that_wait_get_one(tmp_path: Path) -> None:
    version = open_version(make_version(tmp_path, "1", 0.5), tmp_path / "state")
    made: list[OneAtATime] = []

    def make() -> Any:
        made.append(OneAtATime())
        return made[-1]

    interpreters = Interpreters(make, 2, False, "test")
    assert interpreters.join()
    pairs = [pair(version, interpreters), pair(version, interpreters)]
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(pairs[number % 2].predict, {}, 1) for number in range(200)]
        assert all(isinstance(one.result(60), Prediction) for one in asked)
    assert [one.clashes for one in made] == [0, 0]
    assert sorted(interpreters.free) == [0, 1]
    assert [sum(lane.executions for lane in one.lanes) for one in pairs] == [100, 100]


def test_the_threads_of_a_large_model_last_until_its_last_pair_is_closed(tmp_path: Path) -> None:
    version = open_version(make_version(tmp_path, "1", 0.5), tmp_path / "state")
    interpreters = Interpreters(OneAtATime, 1, True, "test")  # type: ignore[arg-type]  # it predicts
    assert interpreters.join()
    first, second = pair(version, interpreters), pair(version, interpreters)
    first.close()
    first.close()
    later = second.predict({}, 1)
    assert isinstance(later, Future)
    assert isinstance(later.result(60), Prediction)
    second.close()
    assert isinstance(second.predict({}, 1), Prediction), "who still holds it gets an answer on its own thread"
    assert not interpreters.join()
