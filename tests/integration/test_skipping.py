"""A policy may have questions go past tiers; those are asked after all when nobody beyond them answers."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.tier import SHAPE, Tier, tier, version_of
from upriver.oip.v2 import inference_pb2 as pb
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver.tensors import encode_raw

LABELS = tuple("abcdefghij")
NEVER, ALWAYS = 2.0, 0.0


@pytest.fixture
def above(tmp_path: Path) -> Iterator[list[Tier]]:
    """A far edge, a near edge and a cloud, each of which answers whatever it is asked."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(tier(rank, version, policy(version, ALWAYS), np.eye(10)))
            for rank, version in ((rank, version_of(tmp_path, f"v{rank}", LABELS)) for rank in (1, 2, 3))
        ]


def policy(version, threshold, escalate_to=""):
    return PolicyDocument(version.digest, ScoreKind.MAX_PROBABILITY, threshold, escalate_to=escalate_to)


def path_of(tmp_path: Path, above: list[Tier], escalate_to: str, **parameters: str) -> tuple[str, bool]:
    version = version_of(tmp_path, "device", LABELS)
    with tier(0, version, policy(version, NEVER, escalate_to), np.eye(10), above) as device:
        image = np.zeros((1, *SHAPE), np.uint8)
        message = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(image, "UINT8")])
        message.inputs.add(name="image", datatype="UINT8", shape=image.shape)
        for key, value in parameters.items():
            message.parameters[f"upriver.{key}"].string_param = value
        told = device.ask(message).parameters
        return told["upriver.path"].string_param, told["upriver.degraded"].bool_param


@pytest.mark.parametrize(
    ("escalate_to", "path"),
    [
        ("", "device-1,far-edge-1"),
        ("near-edge", "device-1,near-edge-1"),
        ("cloud", "device-1,cloud-1"),
        ("basement", "device-1,far-edge-1"),
    ],
)
def test_questions_go_to_the_tier_that_the_policy_names(
    tmp_path: Path, above: list[Tier], escalate_to: str, path: str
) -> None:
    assert path_of(tmp_path, above, escalate_to) == (path, False)


def test_a_skipped_tier_answers_when_those_beyond_it_are_gone_or_not_allowed(tmp_path: Path, above: list[Tier]) -> None:
    assert path_of(tmp_path, above[:2], "cloud") == ("device-1,near-edge-1", False)
    (tmp_path / "again").mkdir()
    assert path_of(tmp_path / "again", above, "cloud", max_tier="far-edge") == ("device-1,far-edge-1", False)
