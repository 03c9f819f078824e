"""AuditService: agents bring audits, operators look at them."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import InvalidInput
from upriver.listing import is_digest
from upriver.v1 import audit_pb2 as pb
from upriver_control.services.refusals import Context, refusing
from upriver_control.store.audits import MAX_BATCH, MAX_PAGE, Audit, AuditTable, Summary

DEFAULT_PAGE: Final = 100
_MAX_ID: Final = 200
_MAX_NAME: Final = 63
_MAX_ANSWER: Final = 300
_MAX_FEATURES: Final = 16
_DIGESTS: Final = ("version_digest", "policy_digest", "rules_digest")
_OPTIONAL_DIGESTS: Final = ("top_policy_digest", "top_version_digest")


class AuditServicer:
    """Serves agents and operators."""

    def __init__(self, table: AuditTable, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix times."""
        self._table = table
        self._clock = clock

    @refusing
    async def submit_audits(self, request: pb.SubmitAuditsRequest, context: Context) -> pb.SubmitAuditsResponse:
        """Keeps audits, all or none."""
        if len(request.audits) > MAX_BATCH:
            raise InvalidInput(f"{len(request.audits)} audits in one call; expected at most {MAX_BATCH}")
        audits = [_read(audit) for audit in request.audits]
        return pb.SubmitAuditsResponse(kept=await asyncio.to_thread(self._table.submit, audits, self._clock()))

    @refusing
    async def list_audits(self, request: pb.ListAuditsRequest, context: Context) -> pb.ListAuditsResponse:
        """Lists a model's audits."""
        model = _model(request.parent)
        if request.page_size < 0 or (request.page_token and not request.page_token.isdecimal()):
            raise InvalidInput(
                f"page_size is {request.page_size}; expected 0 to {MAX_PAGE}, and a token as it was given"
            )
        page = await asyncio.to_thread(
            self._table.page,
            model,
            int(request.page_token or 0),
            request.page_size or DEFAULT_PAGE,
            request.agent,
            request.policy_digest,
            request.disagreements,
        )
        return pb.ListAuditsResponse(
            audits=[write_audit(audit) for audit in page.audits],
            next_page_token=str(page.before) if page.before else "",
        )

    @refusing
    async def summarize_audits(
        self, request: pb.SummarizeAuditsRequest, context: Context
    ) -> pb.SummarizeAuditsResponse:
        """Counts a model's audits."""
        found = await asyncio.to_thread(self._table.summarize, _model(request.parent))
        return pb.SummarizeAuditsResponse(summaries=[_summary(one) for one in found])


def _model(parent: str) -> str:
    model = parent.removeprefix("models/")
    if model == parent or not model or len(model) > _MAX_NAME:
        raise InvalidInput(f"parent is {parent[:100]!r}; expected models/MODEL")
    return model


def _read(audit: pb.Audit) -> Audit:
    problems = [
        f"{name} is {getattr(audit, name)[:80]!r}; expected 1 to {most} characters"
        for name, most in (("question", _MAX_ID), ("agent", _MAX_ID), ("model", _MAX_NAME), ("tier", _MAX_NAME))
        if not 0 < len(getattr(audit, name)) <= most
    ]
    problems += [
        f"{name} is {getattr(audit, name)[:80]!r}; expected sha256: and 64 digits"
        for name in (*_DIGESTS, *_OPTIONAL_DIGESTS)
        if not (is_digest(getattr(audit, name)) or (name in _OPTIONAL_DIGESTS and not getattr(audit, name)))
    ]
    problems += [
        f"{name} is longer than {_MAX_ANSWER}"
        for name in ("region", "answer", "top_answer", "top_agent")
        if len(getattr(audit, name)) > _MAX_ANSWER
    ]
    if len(audit.features) > _MAX_FEATURES or any(len(name) > _MAX_NAME for name in audit.features):
        problems.append(f"{len(audit.features)} features; expected at most {_MAX_FEATURES} with short names")
    if not all(map(math.isfinite, (audit.confidence, audit.draw, audit.rate, *audit.features.values()))):
        problems.append("a number is not finite")
    if not (audit.row >= 0 and 0.0 <= audit.draw < 1.0 and 0.0 <= audit.rate <= 1.0):
        problems.append(f"row {audit.row}, draw {audit.draw}, rate {audit.rate}: expected at least 0, and 0 to 1")
    if problems:
        raise InvalidInput(f"audit of question {audit.question[:80]!r}: {'; '.join(problems)}")
    return Audit(
        agent=audit.agent,
        question=audit.question,
        row=audit.row,
        model=audit.model,
        tier=audit.tier,
        region=audit.region,
        version_digest=audit.version_digest,
        policy_digest=audit.policy_digest,
        rules_digest=audit.rules_digest,
        asked=audit.asked_time.seconds + audit.asked_time.nanos / 1e9,
        confidence=audit.confidence if audit.HasField("confidence") else None,
        passes=audit.passes,
        answered_here=audit.answered_here,
        brought=audit.brought,
        agrees=audit.agrees,
        answer=audit.answer,
        top_answer=audit.top_answer,
        top_agent=audit.top_agent,
        top_policy_digest=audit.top_policy_digest,
        top_version_digest=audit.top_version_digest,
        draw=audit.draw,
        rate=audit.rate,
        features=dict(audit.features),
    )


def write_audit(audit: Audit) -> pb.Audit:
    """An audit as operators see it."""
    return pb.Audit(
        question=audit.question,
        row=audit.row,
        asked_time=_timestamp(audit.asked),
        agent=audit.agent,
        tier=audit.tier,
        region=audit.region,
        model=audit.model,
        version_digest=audit.version_digest,
        policy_digest=audit.policy_digest,
        rules_digest=audit.rules_digest,
        confidence=audit.confidence,
        features=audit.features,
        passes=audit.passes,
        answered_here=audit.answered_here,
        brought=audit.brought,
        answer=audit.answer,
        top_answer=audit.top_answer,
        agrees=audit.agrees,
        top_agent=audit.top_agent,
        top_policy_digest=audit.top_policy_digest,
        top_version_digest=audit.top_version_digest,
        draw=audit.draw,
        rate=audit.rate,
    )


def _summary(one: Summary) -> pb.AuditSummary:
    return pb.AuditSummary(
        agent=one.agent,
        tier=one.tier,
        version_digest=one.version_digest,
        policy_digest=one.policy_digest,
        audits=one.audits,
        passed=one.passed,
        disagreements=one.disagreements,
        last_time=_timestamp(one.last),
    )


def _timestamp(seconds: float) -> Timestamp:
    whole = math.floor(seconds)
    return Timestamp(seconds=whole, nanos=min(999_999_999, int((seconds - whole) * 1e9)))
