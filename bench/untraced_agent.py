"""An agent with two cores, to see what telemetry costs: `python -m bench.untraced_agent`.

Questions to the model `s` go to the core as it is, those to `u` to one from which all of telemetry is taken out: no
clock is read for spans, no metadata is looked at for a trace, nothing is measured, and no trace is thought of: those
statements are not there. Such a core can only answer what it is sure of. Both are in one process, since two processes
of the same program differ by several parts in a hundred of what an answer takes.
"""

import ast
import importlib.util
import sys
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from upriver_agent.serving import core
from upriver_agent.serving.request import Call, InferAnswer, InferRequest

_CORE: Final = "upriver_agent.serving.core"
UNTRACED_MODEL: Final = "u"
_STATEMENTS: Final = 8
"""How many must be found, so that none is left in when the core changes."""


class _Without(ast.NodeTransformer):
    """Takes out what telemetry needs of a local answer."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Times, the caller's trace, the meter."""
        said = ast.unparse(node)
        if said.startswith("marks = Marks("):
            self.found.append(said)
            return ast.copy_location(ast.Assign(targets=node.targets, value=ast.Constant(None)), node)
        if said.startswith(("marks.", "meter = ")):
            self.found.append(said)
            return None
        return node

    def visit_For(self, node: ast.For) -> ast.AST | None:
        """Whether the caller has a trace."""
        if "TRACEPARENT" in ast.unparse(node):
            self.found.append(ast.unparse(node))
            return None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """What is measured, and whether a trace is kept."""
        said = ast.unparse(node.test)
        if said == "meter is not None" or "self._chance() < self._rate" in said:
            self.found.append(said)
            return None
        return self.generic_visit(node)


def without_telemetry(source: str) -> tuple[ast.Module, list[str]]:
    """The core without those statements, and what they were; raises RuntimeError unless they are as many as known."""
    without = _Without()
    tree = without.visit(ast.parse(source))
    if len(without.found) != _STATEMENTS:
        raise RuntimeError(f"{_CORE} has changed; of telemetry there is: {without.found}")
    return ast.fix_missing_locations(tree), without.found


def install() -> None:
    """Has the agent made with both cores."""
    spec = importlib.util.find_spec(_CORE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"no source of {_CORE}")
    tree, _ = without_telemetry(Path(spec.origin).read_text(encoding="utf-8"))
    module = ModuleType(_CORE)
    exec(compile(tree, spec.origin, "exec"), module.__dict__)  # noqa: S102 - our own source
    full, bare = core.ServingCore, module.ServingCore

    class Both:
        """What the agent takes for its core."""

        def __init__(self, *parts: Any) -> None:
            self._full, self._bare = full(*parts), bare(*parts)
            self.again = self._full.again

        def infer(self, request: InferRequest, call: Call) -> "InferAnswer | Future[InferAnswer]":
            """Has the question's model say which core answers."""
            answering = self._bare if request.model == UNTRACED_MODEL else self._full
            return answering.infer(request, call)

    setattr(core, full.__name__, Both)


if __name__ == "__main__":
    install()
    from upriver_agent.__main__ import main

    sys.exit(main())
