"""A tier in the test's own process: the real core and server, and a model that says what the test has it say."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

from tests.versions import make_version
from upriver.channels import ChannelOptions
from upriver.discovery.port import AgentRecord
from upriver.discovery.static import StaticDiscovery
from upriver.oip.v2 import inference_pb2 as pb
from upriver.parameters import PROTOCOL
from upriver.policies import PolicyDocument
from upriver.tensors import Array
from upriver_agent.place import Place
from upriver_agent.policy import make_policy
from upriver_agent.predictor import Prediction
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.ascent import CascadeRules
from upriver_agent.serving.contract import Contract, InputSpec
from upriver_agent.serving.core import ServingCore
from upriver_agent.serving.fusing import make_fuser
from upriver_agent.serving.interpreters import Interpreters
from upriver_agent.serving.loaded import AnswerForm, LoadedVersion, OutputSpec
from upriver_agent.serving.scoring import make_scorer
from upriver_agent.serving.slots import Slots
from upriver_agent.telemetry import Telemetry
from upriver_agent.transport.catalogue import CatalogueServicer
from upriver_agent.transport.inference import InferenceServicer
from upriver_agent.transport.server import GrpcServer, make_executor
from upriver_agent.upstream.links import Links
from upriver_agent.upstream.upstreams import Upstreams
from upriver_agent.versions import Version, open_version

LADDER = ("device", "far-edge", "near-edge", "cloud")
SHAPE = (28, 28, 1)
ENCODED = InputSpec("image", "BYTES", (), encoded=True)
METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Table:
    """A model whose input's first pixel, or byte, is the number of the row of `answers` that it says."""

    def __init__(self, answers: Array) -> None:
        self.answers = answers
        self.seen: list[Array] = []

    def predict(self, canonical: Mapping[str, Array]) -> Prediction:
        """Says it."""
        image = canonical["image"]
        self.seen.append(image)
        numbers = [item[0] for item in image] if image.dtype == object else image[:, 0, 0, 0]
        rows = self.answers[numbers].astype(np.float32)
        return Prediction(rows, None, {"probabilities": rows})


@dataclass
class Tier:
    """A running tier: where it is, what its model saw, and the messages that it was sent."""

    record: AgentRecord
    version: Version
    table: Table
    messages: list[pb.ModelInferRequest] = field(default_factory=list)

    def ask(self, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Asks it as a client does."""
        with grpc.insecure_channel(self.record.address) as channel:
            call = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
            reply: pb.ModelInferResponse = call(message, timeout=20)
        return reply


class _Noting(InferenceServicer):
    def __init__(self, core: ServingCore, executor, messages: list[pb.ModelInferRequest]) -> None:
        super().__init__(core, executor, 64 << 20)
        self._messages = messages

    def model_infer(self, message: pb.ModelInferRequest, context: grpc.ServicerContext) -> bytes:
        self._messages.append(message)
        return super().model_infer(message, context)


def version_of(folder: Path, name: str, labels: Sequence[str]) -> Version:
    """A version with a digest of its own."""
    return open_version(make_version(folder, name, 0.5, labels=labels), folder / "state")


@contextmanager
def tier(
    rank: int,
    version: Version,
    policy: PolicyDocument,
    answers: Array,
    above: Sequence[Tier] = (),
    *,
    trust_network: bool = True,
    byte_budget: int | None = None,
    compress: bool = True,
    encoded: bool = False,
) -> Iterator[Tier]:
    """Runs a tier whose model says `answers`, [rows, classes], under a policy; `encoded` has it take image files."""
    place = Place(f"{LADDER[rank]}-1", LADDER[rank], "here", LADDER)
    table = Table(answers)

    def load(_: Path) -> LoadedVersion:
        return LoadedVersion(
            version=version,
            policy=make_policy(policy),
            contract=Contract([ENCODED if encoded else InputSpec("image", "UINT8", SHAPE)]),
            outputs=(OutputSpec("probabilities", "FP32", (answers.shape[1],)),),
            form=AnswerForm(labels=version.labels, scores_output="probabilities"),
            score=make_scorer(version.manifest, policy),
            interpreters=Interpreters(lambda: table, 1, False, "test"),
            fuse=make_fuser(version.manifest, policy, version.labels),
        )

    slots = Slots(load)
    slots.load(Path())
    admission = Admission(64)
    links = Links(ChannelOptions())
    upstreams = Upstreams(place, StaticDiscovery(one.record for one in above), links)
    rules = CascadeRules(8, trust_network, byte_budget, 10.0, 0.0, compress)
    core = ServingCore(place, rules, slots, admission, upstreams, Telemetry(place.agent, place.tier, "here", 0.0))
    executor = make_executor(64)
    messages: list[pb.ModelInferRequest] = []
    catalogue = CatalogueServicer(place.agent, slots, admission, False, lambda: None)
    server = GrpcServer(_Noting(core, executor, messages), catalogue, executor, 64, 64 << 20, ())
    port = server.bind("127.0.0.1:0", None)
    server.start()
    record = AgentRecord(place.agent, place.tier, "here", f"127.0.0.1:{port}", PROTOCOL, {}, 0.0)
    try:
        yield Tier(record, version, table, messages)
    finally:
        server.stop(0.1)
        upstreams.close()
