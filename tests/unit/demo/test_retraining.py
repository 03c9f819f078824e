"""The last step of learning in the demo, where it does not go well."""

import io
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from demo.learn_provisioning import Begun
from demo.processes import DemoFailed
from demo.regional import LADDER
from demo.retraining import retrain
from upriver.errors import Unreachable

BEGUN = Begun(dict.fromkeys(LADDER, "models/digits/versions/1"), {})


def begun(call: Any, stop: threading.Event) -> Any:
    control: Any = SimpleNamespace(connection=SimpleNamespace(call=call))
    mesh: Any = SimpleNamespace(all_devices=())
    return retrain(mesh, control, BEGUN, {}, 100, Console(file=io.StringIO()), stop)


def test_who_stops_the_demo_does_not_wait_for_a_training() -> None:
    stop, over = threading.Event(), threading.Event()

    def never(*_: object) -> None:
        stop.set()
        over.wait(60)
        raise Unreachable("the control plane has ended")

    assert begun(never, stop) is None
    assert not over.is_set()
    (still,) = [one for one in threading.enumerate() if one.name.startswith("demo-retraining")]
    assert still.daemon  # nor does the interpreter when it ends
    over.set()
    still.join(60)


def test_a_training_that_fails_says_why() -> None:
    def fails(*_: object) -> None:
        raise Unreachable("nobody there")

    with pytest.raises(DemoFailed, match="no model could be trained from the lessons: nobody there"):
        begun(fails, threading.Event())
