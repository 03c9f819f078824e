"""What is measured without telemetry has none, however the core changes."""

import ast
from pathlib import Path

import pytest

from bench.untraced_agent import without_telemetry
from upriver_agent.serving import core


def test_the_core_without_telemetry_reads_no_clock_and_asks_nobody_of_traces() -> None:
    tree, found = without_telemetry(Path(core.__file__).read_text(encoding="utf-8"))
    assert len(found) == 8
    local = "\n".join(
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in {"infer", "_begin", "_judge"}
    )
    for name in ("time_ns", "self._chance", "caller_wants", "TRACEPARENT", "meter", "Marks("):
        assert name not in local
    compile(tree, "core", "exec")


def test_a_core_that_is_not_as_known_is_refused() -> None:
    with pytest.raises(RuntimeError, match="has changed"):
        without_telemetry("def infer(self):\n    marks = Marks(0)\n")
