"""Names and values that ride in Open Inference Protocol parameters and in gRPC metadata.

All parameter names start with `upriver.`; the metadata keys of the envelope between agents start with `upriver-`.
"""

from enum import StrEnum

SERVICE = "inference.GRPCInferenceService"
PROTOCOL = 1
"""Version of the agent-to-agent protocol (envelope and response facts)."""


class Reason(StrEnum):
    """Why a question's way ended where it did."""

    CONFIDENT = "confident"
    TOP = "top"
    MODE = "mode"
    MAX_TIER = "max_tier"
    HOPS = "hops"
    DEADLINE = "deadline"
    BYTE_BUDGET = "byte_budget"
    REGION = "region"
    UPSTREAM_DOWN = "upstream_down"
    BREAKER_OPEN = "breaker_open"
    UPSTREAM_FULL = "upstream_full"
    ALARM = "alarm"
    ANSWERED = "answered"


DEGRADED_REASONS = frozenset(
    {
        Reason.HOPS,
        Reason.DEADLINE,
        Reason.BYTE_BUDGET,
        Reason.UPSTREAM_DOWN,
        Reason.BREAKER_OPEN,
        Reason.UPSTREAM_FULL,
    }
)
"""Reasons that mean: a higher tier should have been asked and could not be. The others are the caller's or the
ladder's own choice."""


class Mode(StrEnum):
    """What the caller wants of the cascade."""

    AUTO = "auto"
    LOCAL = "local"
    TOP = "top"


# Request parameters (set by a client).
MAX_TIER = "upriver.max_tier"
MIN_CONFIDENCE = "upriver.min_confidence"
MODE = "upriver.mode"
REGION_ONLY = "upriver.region_only"
LEARN = "upriver.learn"

# Response parameters; TIER, CONFIDENCE and RESOLVED are row-wise output tensors too, when asked for by name.
RESOLVED = "upriver.resolved"
TIER = "upriver.tier"
AGENT = "upriver.agent"
CONFIDENCE = "upriver.confidence"
PATH = "upriver.path"
REASON = "upriver.reason"
DEGRADED = "upriver.degraded"
TICKET = "upriver.ticket"
TRACE_ID = "upriver.trace_id"
POLICY = "upriver.policy"
FUSED = "upriver.fused"
"""Whether answers from tiers below went into this one; see `upriver.fusion`."""
BYTES_UP = "upriver.bytes_up"
"""Bytes of request messages that all hops sent up for this request; absent when none was escalated."""
SERVED_NS = "upriver.served_ns"
"""To an agent that escalated: nanoseconds that the upstream held the request. What the caller waited beyond is the
network's and is what its reserve is learnt from."""
READS = "upriver.reads"
"""To an agent that escalated: what this one reads beyond the plain protocol."""
LABELS = "upriver.labels"
"""On a scores output: the names of its columns; on a detector's classes output: what its numbers stand for.

Separated by commas, with a backslash before a comma or backslash in a name."""
SCORES_ARE = "upriver.scores_are"
"""On a scores output: `probabilities` or `logits`."""

# On inputs that agents send up, and only to those that told that they read it.
ZSTD = "upriver.zstd"
"""On an input whose raw contents are one zstd frame: the bytes that it holds."""
BELOW = "upriver.below"
"""Inputs named so, with a slash and a number, are what tiers below said."""
VERSION = "upriver.version"
"""On such an input: the digest of the version that said it."""

# Envelope metadata (set by an agent that escalates).
META_QUESTION = "upriver-question"
META_TOUCH_POINT = "upriver-touch-point"
META_VISITED = "upriver-visited"
META_HOPS_LEFT = "upriver-hops-left"
META_BYTE_BUDGET = "upriver-byte-budget"
META_ROWS = "upriver-rows"
"""Which rows of the request at the touch point these are, when not all go up: base64url of a bit for each."""
META_AUDIT = "upriver-audit"
"""`1` on a question that is asked only to hold an agent's own answer against the top's."""
META_ALARM = "upriver-alarm"
"""`1` on a question that every agent on its way would have sent up whatever it is, because its alarm has rung."""
