"""Answers from below go up with the question and are fused there; inputs go up compressed when that is read there."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tier import SHAPE, tier, version_of
from upriver.fusion import fuse, opinion
from upriver.oip.v2 import inference_pb2 as pb
from upriver.policies import Basis, Certificate, Form, Fusion, PolicyDocument, rules_digest
from upriver.scores import ScoreKind
from upriver.tensors import Array, decode_raw, encode_raw
from upriver_agent.versions import Version

LABELS = tuple("abcdefghij")
OTHERS = tuple("cabdefghij")
NEVER = 2.0


def request(images: Array, **parameters: float) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(images, "UINT8")])
    message.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    for key, value in parameters.items():
        message.parameters[f"upriver.{key}"].double_param = value
    if len(images) > 1:
        for name in ("tier", "fused", "confidence"):
            message.outputs.add(name=f"upriver.{name}")
    return message


def images(*rows: int) -> Array:
    made = np.zeros((len(rows), *SHAPE), np.uint8)
    made[:, 0, 0, 0] = rows
    return made


def noise(row: int) -> Array:
    made = np.random.default_rng(5).integers(0, 256, (1, *SHAPE), dtype=np.uint8)
    made[0, 0, 0, 0] = row
    return made


def policy(
    version: Version, threshold: float, fusion: Fusion | None = None, temperature: float = 1.0
) -> PolicyDocument:
    return PolicyDocument(version.digest, ScoreKind.MAX_PROBABILITY, threshold, temperature=temperature, fusion=fusion)


def certified(document: PolicyDocument) -> PolicyDocument:
    certificate = Certificate(
        Form.PER_TIER, Basis.TOP, 0.01, 0.05, 1000, 1.0, 0.9, 0.9, document.version_digest, rules_digest(document),
        document.version_digest,
    )  # fmt: skip
    return replace(document, certificate=certificate)


def answers(*rows: tuple[float, float, float]) -> Array:
    """Probabilities of ten classes, the first three as given."""
    return np.pad(np.array(rows), ((0, 0), (0, 7)))


DEVICE = answers((0.6, 0.4, 0.0), (0.5, 0.1, 0.4), (0.98, 0.01, 0.01))
FAR = answers((0.1, 0.8, 0.1), (0.2, 0.5, 0.3), (0.3, 0.3, 0.4))  # in the order of OTHERS
NEAR = answers((0.45, 0.55, 0.0), (0.34, 0.33, 0.33), (0.2, 0.4, 0.4))
CLOUD = np.eye(10)


class Mesh:
    """Four tiers; the near edge fuses what the device (temperature 2) and the far edge say."""

    def __init__(self, folder: Path, stack: ExitStack, proven: bool = False) -> None:
        versions = [
            version_of(folder, name, OTHERS if name == "far" else LABELS) for name in ("dev", "far", "near", "top")
        ]
        self.fusion = Fusion(1.0, {versions[0].digest: 0.5, versions[1].digest: 1.5})
        fusing = policy(versions[2], 0.6, self.fusion)
        policies = [
            policy(versions[0], 0.97, temperature=2.0),
            policy(versions[1], NEVER),
            certified(fusing) if proven else fusing,
            policy(versions[3], 0.0),
        ]
        self.cloud = stack.enter_context(tier(3, versions[3], policies[3], CLOUD))
        self.near = stack.enter_context(tier(2, versions[2], policies[2], NEAR, [self.cloud]))
        self.far = stack.enter_context(tier(1, versions[1], policies[1], FAR, [self.near]))
        self.device = stack.enter_context(tier(0, versions[0], policies[0], DEVICE, [self.far]))

    def warm(self) -> None:
        """Answers go down before it is known above what is wanted: one for each hop."""
        self.device.ask(request(images(1), min_confidence=NEVER))
        for one in (self.device, self.far, self.near, self.cloud):
            one.messages.clear()

    def expected(self, row: int) -> Array:
        scaled = DEVICE[[row]] ** 0.5 / (DEVICE[[row]] ** 0.5).sum()
        experts = [(0.5, opinion(scaled, LABELS)), (1.5, opinion(FAR[[row]], OTHERS))]
        return fuse(NEAR[[row]], LABELS, 1.0, experts).probabilities[0]


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with ExitStack() as stack:
        yield Mesh(tmp_path, stack)


def told(reply: pb.ModelInferResponse, name: str) -> object:
    parameter = reply.parameters[f"upriver.{name}"]
    return getattr(parameter, parameter.WhichOneof("parameter_choice"))


def output(reply: pb.ModelInferResponse, name: str) -> Array:
    index = [one.name for one in reply.outputs].index(name)
    one = reply.outputs[index]
    return decode_raw(name, one.datatype, one.shape, reply.raw_output_contents[index])


def test_what_tiers_below_said_is_fused_above_and_the_answer_says_so(mesh: Mesh) -> None:
    mesh.warm()
    reply = mesh.device.ask(request(images(0)))
    expected = mesh.expected(0)
    assert expected.max() > 0.6 > NEAR[0].max()  # sure only together
    assert (told(reply, "tier"), told(reply, "fused"), told(reply, "resolved")) == ("near-edge", True, True)
    assert told(reply, "confidence") == pytest.approx(expected.max(), rel=1e-6)
    np.testing.assert_allclose(output(reply, "probabilities")[0], expected, rtol=1e-5)
    assert [len(one.inputs) for one in (mesh.far.messages[0], mesh.near.messages[0])] == [2, 3]
    assert not mesh.cloud.messages


def test_of_a_batch_only_the_rows_that_go_up_take_their_answers_along(mesh: Mesh) -> None:
    mesh.warm()
    reply = mesh.device.ask(request(images(2, 0, 1, 2, 0)))
    tiers = [text.decode() for text in output(reply, "upriver.tier")]
    assert tiers[1] == tiers[4] == "near-edge"
    assert output(reply, "upriver.fused").tolist() == [name == "near-edge" for name in tiers]
    assert output(reply, "upriver.confidence")[[1, 4]] == pytest.approx([mesh.expected(0).max()] * 2, rel=1e-6)
    assert len(mesh.far.messages) == 1


def test_before_an_upstream_told_what_it_reads_it_is_sent_what_everybody_reads(mesh: Mesh) -> None:
    reply = mesh.device.ask(request(images(0)))
    assert told(reply, "tier") == "cloud"  # on its own the near edge is not sure
    for one in (mesh.far, mesh.near, mesh.cloud):
        assert [tensor.name for tensor in one.messages[0].inputs] == ["image"]
        assert not one.messages[0].inputs[0].parameters
    assert told(mesh.device.ask(request(images(0))), "tier") == "near-edge"


def test_a_clients_own_opinions_count_for_nothing(mesh: Mesh) -> None:
    mesh.warm()
    mesh.device.ask(request(images(0)))
    forged = mesh.near.messages[-1]
    reply = mesh.near.ask(forged)  # the same message, from one who is no agent
    assert (told(reply, "tier"), told(reply, "fused")) == ("cloud", False)


def test_under_a_certificate_an_answer_that_lacks_one_from_below_is_never_confident(tmp_path: Path) -> None:
    with ExitStack() as stack:
        mesh = Mesh(tmp_path, stack, proven=True)
        mesh.warm()
        assert told(mesh.device.ask(request(images(0))), "tier") == "near-edge"
        reply = mesh.far.ask(request(images(0)))  # the device was not asked
        assert (told(reply, "tier"), told(reply, "fused")) == ("cloud", False)


def test_inputs_go_up_compressed_and_arrive_bit_for_bit(mesh: Mesh) -> None:
    mesh.warm()
    sent = images(0, 1)
    sent[:, 5:20, 9:15] = np.random.default_rng(1).integers(0, 256, (2, 15, 6, 1), dtype=np.uint8)
    plain = mesh.device.ask(request(sent, min_confidence=NEVER))
    assert [told(plain, "tier"), len(mesh.cloud.messages)] == ["cloud", 1]
    for one in (mesh.far, mesh.near, mesh.cloud):
        assert one.messages[0].inputs[0].parameters["upriver.zstd"].int64_param == sent.nbytes
        assert len(one.messages[0].raw_input_contents[0]) < sent.nbytes / 3
        np.testing.assert_array_equal(one.table.seen[-1], sent)
    hops = sum(one.messages[0].ByteSize() for one in (mesh.far, mesh.near, mesh.cloud))
    assert hops < told(plain, "bytes_up") < hops + 1200  # messages and envelopes, as they were sent


def test_an_input_that_does_not_shrink_goes_up_as_it_is(mesh: Mesh) -> None:
    mesh.warm()
    mesh.device.ask(request(noise(0), min_confidence=NEVER))
    assert not mesh.far.messages[0].inputs[0].parameters
    assert len(mesh.far.messages[0].raw_input_contents[0]) == 784


def test_encoded_images_go_up_as_the_files_that_they_are(tmp_path: Path) -> None:
    versions = [version_of(tmp_path, name, LABELS) for name in ("dev", "top")]
    files = [bytes([row]) + np.random.default_rng(row).bytes(900) for row in (0, 2, 1)]
    sent = np.array(files, dtype=object).reshape(3, 1)
    with (
        tier(3, versions[1], policy(versions[1], 0.0), CLOUD, encoded=True) as cloud,
        tier(0, versions[0], policy(versions[0], 0.97), DEVICE, [cloud], encoded=True) as device,
    ):
        message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(sent, "BYTES")])
        message.inputs.add(name="image", datatype="BYTES", shape=sent.shape)
        for _ in range(2):
            device.ask(message)
        for asked in cloud.messages:  # the second row was answered below
            assert asked.raw_input_contents[0] == encode_raw(np.array([files[0], files[2]], dtype=object), "BYTES")
            assert not asked.inputs[0].parameters
    assert len(cloud.messages) == 2


def test_an_upstream_that_does_not_compress_is_sent_nothing_compressed(tmp_path: Path) -> None:
    versions = [version_of(tmp_path, name, LABELS) for name in ("dev", "top")]
    with (
        tier(3, versions[1], policy(versions[1], 0.0), CLOUD, compress=False) as cloud,
        tier(0, versions[0], policy(versions[0], NEVER), DEVICE, [cloud]) as device,
    ):
        for _ in range(2):
            device.ask(request(images(0)))
        assert not any(message.inputs[0].parameters for message in cloud.messages)


def test_the_byte_budget_counts_what_is_sent(tmp_path: Path) -> None:
    with ExitStack() as stack:
        mesh = Mesh(tmp_path, stack)
        device = stack.enter_context(
            tier(0, mesh.device.version, policy(mesh.device.version, NEVER), DEVICE, [mesh.far], byte_budget=2300)
        )
        first = device.ask(request(images(1), min_confidence=NEVER))
        # As everybody reads it, it takes 784 bytes and more over each of three hops.
        assert (told(first, "reason"), told(first, "tier")) == ("byte_budget", "near-edge")
        assert told(first, "degraded")
        last = device.ask(request(images(1), min_confidence=NEVER))
        assert (told(last, "tier"), told(last, "degraded")) == ("cloud", False)
        assert told(last, "bytes_up") <= 2300
