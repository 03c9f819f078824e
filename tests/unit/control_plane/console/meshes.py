"""Meshes, agents and markup for the tests of what is drawn."""

from hypothesis import strategies as st

from tests.unit.control_plane.console.markup import Seen
from upriver.v1 import mesh_pb2 as pb

TIERS = ("device", "far-edge", "cloud")
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "a' onload='b",
            "</svg><iframe>", "&lt;b&gt;", "../../login", "//evil.example", "\u202edevice", "a" * 300, "",
        ]
    ),
    st.text(max_size=20),
)  # fmt: skip


def agent(name: str, tier: str = "device", **more: object) -> pb.MeshAgent:
    """An agent that is well."""
    made = pb.MeshAgent(
        agent=name, tier=tier, region="eu", connected=True, in_sync=True, load=0.25, sends_spans=True,
        versions=["models/digits/versions/v3"], rows_per_s=12.0, escalated_share=0.25,
    )  # fmt: skip
    made.p95.nanos = 8_000_000
    made.MergeFrom(pb.MeshAgent(**{key: value for key, value in more.items() if value}))
    for key, value in more.items():
        if not value:
            made.ClearField(key)
    return made


def mesh(*agents: pb.MeshAgent, edges: tuple[pb.MeshEdge, ...] = ()) -> pb.WatchMeshResponse:
    """A mesh of three tiers."""
    made = pb.WatchMeshResponse(agents=agents, edges=edges, tiers=TIERS)
    made.time.seconds = 1772600767
    return made


def meshes() -> st.SearchStrategy[pb.WatchMeshResponse]:
    """Meshes whose every name was written by somebody who means harm, and whose numbers may be anything."""
    numbers = st.floats(allow_nan=True, allow_infinity=True)
    agents = st.builds(
        pb.MeshAgent,
        agent=HOSTILE, tier=st.one_of(st.sampled_from(TIERS), HOSTILE), region=HOSTILE, connected=st.booleans(),
        load=numbers, versions=st.lists(HOSTILE, max_size=2), rows_per_s=numbers, escalated_share=numbers,
        alarms=st.lists(HOSTILE, max_size=2), in_sync=st.booleans(), sends_spans=st.booleans(), address=HOSTILE,
    )  # fmt: skip

    def whole(found: list[pb.MeshAgent]) -> st.SearchStrategy[pb.WatchMeshResponse]:
        named = st.one_of(HOSTILE, *([st.sampled_from([one.agent for one in found])] if found else []))
        counts = st.integers(0, 2**40)
        edge = st.builds(pb.MeshEdge, from_agent=named, to_agent=named, escalations=counts, failed=counts)
        return st.builds(
            pb.WatchMeshResponse, agents=st.just(found), edges=st.lists(edge, max_size=6), tiers=st.just(TIERS)
        )

    return st.lists(agents, max_size=8, unique_by=lambda one: one.agent).flatmap(whole)


class Page(Seen):
    """Markup as a browser reads it; fails where elements are not nested. Its texts are those that are not empty."""

    def __init__(self, markup: str) -> None:
        self._open: list[str] = []
        super().__init__(markup)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag != "input":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            super().handle_data(data)

    @property
    def names(self) -> set[str]:
        """What elements there are."""
        return {name for name, _ in self.elements}

    def attributes(self, key: str) -> list[str]:
        """All values of an attribute."""
        return [value or "" for _, attrs in self.elements for name, value in attrs.items() if name == key]
