"""Whether traces are complete, as the control plane's store of spans has them."""

from collections.abc import Iterable, Mapping, Sequence

from upriver.v1 import question_pb2 as pb
from upriver_control.cli.connection import Connection

_QUESTIONS = pb.DESCRIPTOR.services_by_name["QuestionService"]
_MOST = 100_000


def complete(connection: Connection, paths: Mapping[str, Sequence[str]]) -> int:
    """How many of the traces in `paths` (trace id to the answer's path) are complete; raises UpriverError."""
    request = pb.ListQuestionsRequest(filter=pb.QuestionFilter(every_hop=True))
    seen: dict[str, set[tuple[int, str]]] = {}
    for page in connection.pages(_QUESTIONS, "ListQuestions", request, "questions", _MOST):
        for hop in page.questions:
            if hop.trace in paths:
                seen.setdefault(hop.trace, set()).add((hop.hop, hop.agent))
    return sum(is_complete(seen.get(trace, ()), path) for trace, path in paths.items())


def is_complete(seen: Iterable[tuple[int, str]], path: Sequence[str]) -> bool:
    """Whether every agent of the path has told of the question at its place: `seen` are hops' numbers and agents.

    An agent may be there at another place too, where a second upstream was asked to be in time and both went on to it.
    """
    return bool(path) and set(enumerate(path)) <= set(seen)
