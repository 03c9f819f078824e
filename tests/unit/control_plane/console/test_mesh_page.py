"""How often the mesh is asked for: at once where it is small, and seldom enough where it is large."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.unit.control_plane.console.meshes import agent, mesh
from upriver.errors import InvalidInput
from upriver.v1 import mesh_pb2 as pb
from upriver_control.console.pages import mesh as page


@dataclass
class Service:
    """A MeshService with so many agents, that sends as often as it is read; `asked` are the intervals in seconds."""

    agents: int
    asked: list[float] = field(default_factory=list)
    open: int = 0

    async def WatchMesh(self, request: pb.WatchMeshRequest) -> AsyncIterator[pb.WatchMeshResponse]:  # noqa: N802 - its name
        if request.selector == "?":
            raise InvalidInput("selector is '?'")
        self.asked.append(request.interval.seconds + request.interval.nanos / 1e9)
        self.open += 1
        try:
            while True:
                yield mesh(*(agent(f"d{number}") for number in range(self.agents)))
        finally:
            self.open -= 1


@dataclass
class Remote:
    mesh: Service


@dataclass
class Site:
    remote: Remote


async def first(service: Service, count: int, selector: str = "") -> list[page.Drawn]:
    found: list[page.Drawn] = []
    async for drawn in page.news(Site(Remote(service)), selector):
        found.append(drawn)
        if len(found) == count:
            break
    return found


def test_a_small_mesh_is_asked_for_twice_a_second() -> None:
    service = Service(3)
    asyncio.run(first(service, 3))
    assert service.asked == [0.5]


def test_a_large_one_is_asked_for_more_seldom_and_the_call_before_is_ended() -> None:
    service = Service(page.PACES_S[0][0] + 1)
    asyncio.run(first(service, 3))
    assert service.asked == [0.5, 2.0]
    assert service.open <= 1
    assert [page.pace_s(count) for count in (0, 200, 201, 1000, 1001, 10**6)] == [0.5, 0.5, 2.0, 2.0, 5.0, 5.0]


def test_what_is_no_selector_is_told_in_its_sentence() -> None:
    (drawn,) = asyncio.run(first(Service(1), 1, "?"))
    assert "selector is &#x27;?&#x27;" in drawn.summary
