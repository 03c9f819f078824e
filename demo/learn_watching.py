"""Watches devices learn: how many lessons each has, what it waits for, and which heads came to answer; they tell."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc

from demo.control import ControlPlane
from demo.regional import RegionalMesh
from upriver.channels import ChannelOptions, open_channel
from upriver.errors import UpriverError
from upriver.services import Stub
from upriver.v1 import head_pb2, region_pb2

MODEL: Final = "digits"
_SERVICE: Final = head_pb2.DESCRIPTOR.services_by_name["HeadService"]
_REGIONS: Final = region_pb2.DESCRIPTOR.services_by_name["RegionService"]
_LOOK_S = 0.3
_CALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Promotion:
    """A head that an agent had answer, when its region's devices had so many `lessons`; its own are `learnt`.

    At most `epsilon` of questions are lost, but for a probability of `delta`: of `questions` held out `losses` were,
    and `coverage` is the share of them that it answers.
    """

    agent: str
    lessons: int
    learnt: int
    attempt: int
    epsilon: float
    delta: float
    questions: int
    losses: int
    coverage: float

    def in_words(self) -> str:
        """For a person."""
        return (
            f"{self.agent}: a head of {self.learnt} lessons answers {self.coverage:.0%}; certified at attempt "
            f"{self.attempt}: at most {self.epsilon:.1%} lost (delta {self.delta:.2%}), {self.losses} of "
            f"{self.questions} held out were"
        )


@dataclass
class Watcher:
    """Looks in the background until it is stopped. `notes` tell of promotions in words, the newest last."""

    mesh: RegionalMesh
    control: ControlPlane
    notes: list[str] = field(default_factory=list)
    trouble: str = ""
    """Why it can't look; empty when it can."""
    _heads: dict[str, head_pb2.HeadsOfModel] = field(default_factory=dict)
    _most: dict[str, int] = field(default_factory=dict)
    _promotions: dict[str, list[Promotion]] = field(default_factory=dict)
    merged: list[str] = field(default_factory=list)
    """What became of heads of regions, in words."""
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="demo-learning", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_CALL_S * 2)

    def lessons(self, region: str) -> int:
        """How many lessons the devices of a region have, or had before they were sent another version."""
        now = sum(self._of(device.name).lessons for device in self.mesh.devices(region))
        self._most[region] = max(now, self._most.get(region, 0))
        return self._most[region]

    def waits(self) -> Mapping[str, str]:
        """What each device waits for, or why it does not learn."""
        return {device.name: why for device in self.mesh.all_devices if (why := self._of(device.name).why)}

    def promotions(self, region: str) -> Sequence[Promotion]:
        """What was promoted in a region, in order."""
        return list(self._promotions.get(region, ()))

    def _of(self, agent: str) -> head_pb2.HeadsOfModel:
        return self._heads.get(agent, head_pb2.HeadsOfModel())

    def _run(self) -> None:
        channels = {device.name: open_channel(device.address, ChannelOptions()) for device in self.mesh.all_devices}
        stubs = {name: Stub(channel, _SERVICE) for name, channel in channels.items()}
        while not self._over.wait(_LOOK_S):
            try:
                for name, stub in stubs.items():
                    found = stub.ListHeads(head_pb2.ListHeadsRequest(model=MODEL), timeout=_CALL_S).models
                    self._heads[name] = found[0] if found else head_pb2.HeadsOfModel()
                self._look_at_regions()
                self.trouble = ""
            except grpc.RpcError as error:
                self.trouble = f"heads can't be seen: {error.code().name}"
            except UpriverError as error:
                self.trouble = f"heads of regions can't be seen: {error}"
            for region in self.mesh.regions:
                self._note(region)
        for channel in channels.values():
            channel.close()

    def _look_at_regions(self) -> None:
        request = region_pb2.ListRegionHeadsRequest(model=f"models/{MODEL}")
        for head in reversed(self.control.connection.call(_REGIONS, "ListRegionHeads", request).heads):
            if head.state != "open" and (head.region, head.head_digest) not in self._seen:
                self._seen.add((head.region, head.head_digest))
                self.merged.append(merged_in_words(head))
                self.notes.append(self.merged[-1])

    def _note(self, region: str) -> None:
        for device in self.mesh.devices(region):
            for trial in reversed(self._of(device.name).trials):
                if trial.promoted and (device.name, trial.head) not in self._seen:
                    self._seen.add((device.name, trial.head))
                    made = _promotion(device.name, self.lessons(region), trial)
                    self._promotions.setdefault(region, []).append(made)
                    self.notes.append(made.in_words())


def merged_in_words(head: region_pb2.RegionHead) -> str:
    """What became of a head that the control plane made of what agents pooled."""
    whose = f"{head.region}, all regions together" if head.scope == "global" else head.region
    of = f"{whose}: a head merged from {head.lessons:.0f} lessons of {head.agents} agents"
    if head.state != "passed":
        return f"{of} {'has failed' if head.state == 'failed' else f'is {head.state}'}: {head.reason}"
    sent = head.delta_size_bytes or head.head_size_bytes
    return (
        f"{of} answers {head.coverage:.0%}; certified at attempt {head.attempt}: at most {head.epsilon:.1%} lost "
        f"(delta {head.delta:.2%}), {head.losses} of {head.questions} held out by {head.counted_by} agents were; "
        f"{sent:,} bytes to each agent"
    )


def _promotion(agent: str, lessons: int, trial: head_pb2.HeadTrial) -> Promotion:
    return Promotion(
        agent,
        lessons,
        trial.lessons,
        trial.attempt,
        trial.epsilon,
        trial.delta,
        trial.questions,
        trial.losses,
        trial.coverage,
    )
