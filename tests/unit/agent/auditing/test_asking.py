"""Asking the top about rows of several questions: what can't go together says so, and goes apart."""

from typing import Any

import numpy as np
import pytest

from upriver.tensors import Tensor
from upriver_agent import wire
from upriver_agent.auditing.asking import TopAsker
from upriver_agent.auditing.store import Waiting
from upriver_agent.place import Place

PLACE = Place("me", "device", "eu", ("device", "cloud"))


def waiting(question: str, name: str = "image", datatype: str = "FP32", size: int = 2) -> Waiting:
    array = np.zeros((1, size), np.float32 if datatype == "FP32" else np.uint8)
    request = wire.write_request("digits", "", [Tensor(name, datatype, array)], {}, False).SerializeToString()
    return Waiting(question, 0, "digits", False, 0, 1.0, "", request, b"")


@pytest.mark.parametrize("other", [{"name": "picture"}, {"datatype": "UINT8"}, {"size": 3}])
def test_rows_of_versions_with_other_inputs_do_not_go_up_together(other: dict[str, Any]) -> None:
    upstreams: Any = None  # nobody is asked
    asker = TopAsker(PLACE, upstreams, 4, 1.0)
    with pytest.raises(ValueError, match=r"together|dimensions"):
        asker.ask([waiting("q-1"), waiting("q-2", **other)], lambda: False)
