"""An agent whose core has all of telemetry taken out, to see what that costs: `python -m bench.untraced_agent`.

No clock is read for spans, no metadata is looked at for a trace, nothing is measured, and no trace is thought of: those
statements are not there. It can only answer what it is sure of.
"""

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Final

from upriver_agent import serving

_CORE: Final = "upriver_agent.serving.core"
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
        if said.startswith(("marks.", "parent = self._telemetry.extract(", "meter = ")):
            self.found.append(said)
            return None
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """What is measured, and whether a trace is kept."""
        said = ast.unparse(node.test)
        if said in {"meter is not None", "self._telemetry.wants_local(parent)"}:
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
    """Has the core without telemetry be the one that is imported."""
    spec = importlib.util.find_spec(_CORE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"no source of {_CORE}")
    tree, _ = without_telemetry(Path(spec.origin).read_text(encoding="utf-8"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[_CORE] = serving.core = module
    exec(compile(tree, spec.origin, "exec"), module.__dict__)  # noqa: S102 - our own source


if __name__ == "__main__":
    install()
    from upriver_agent.__main__ import main

    sys.exit(main())
