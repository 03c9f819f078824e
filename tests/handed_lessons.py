"""Lessons as agents hand them up, for tests."""

import numpy as np

from upriver.v1 import train_pb2 as pb

DIGEST = "sha256:" + "a" * 64


def lesson(id_, label="seven", region="north", model="digits", image=None, **more):
    """One lesson of an image."""
    pixels = np.zeros((14, 14, 1), "<f4") if image is None else np.asarray(image, "<f4")
    return pb.HandedLesson(
        **{
            "id": id_, "agent": "pi", "tier": "device", "region": region, "model": model, "version_digest": DIGEST,
            "label": label, "labels": ["three", "seven"], "scores": [0.1, 0.9], "confidence": 0.9,
            "own_label": "three", "own_confidence": 0.4, "teacher_agent": "store", "teacher_tier": "far-edge",
            "inputs": [pb.HandedInput(name="image", datatype="FP32", shape=pixels.shape, data=pixels.tobytes())],
            **more,
        }
    )  # fmt: skip
