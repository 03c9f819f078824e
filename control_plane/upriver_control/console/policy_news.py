"""What is known of a model's policies: themselves, its calibrations, and how audits stand."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from upriver.v1 import audit_pb2, fleet_pb2
from upriver.v1 import policy_pb2 as pb
from upriver_control.console.remote import Remote
from upriver_control.telling.policies import state_name

_POLICIES: Final = 100
_CALIBRATIONS: Final = 20
_AGENTS: Final = 500
_OVER: Final = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Policies:
    """A model's newest policies and calibrations, newest first, and the calibration that is looked at, whole."""

    policies: Sequence[pb.Policy]
    calibrations: Sequence[pb.Calibration]
    calibration: pb.Calibration | None


@dataclass(frozen=True, slots=True)
class Audits:
    """Agents as far as they are looked at, and audits counted by agent and policy."""

    agents: Sequence[fleet_pb2.Agent]
    fleet: int
    """All agents, looked at or not."""
    audits: Sequence[audit_pb2.AuditSummary]


class PolicyNews:
    """Asks for one model; a calibration that has ended is asked for once."""

    def __init__(self, remote: Remote, model: str, calibration: str) -> None:
        """`calibration` is the one to be looked at, by its id; empty is the newest that came to something."""
        self._remote, self._parent, self._asked = remote, f"models/{model}", calibration
        self._kept: pb.Calibration | None = None

    async def policies(self) -> Policies:
        """As they are now; raises UpriverError."""
        policies, calibrations = await asyncio.gather(
            self._remote.policies.ListPolicies(pb.ListPoliciesRequest(parent=self._parent, page_size=_POLICIES)),
            self._remote.policies.ListCalibrations(
                pb.ListCalibrationsRequest(parent=self._parent, page_size=_CALIBRATIONS)
            ),
        )
        looked_at = await self._whole(self._chosen(calibrations.calibrations))
        return Policies(policies.policies, calibrations.calibrations, looked_at)

    async def audits(self) -> Audits:
        """As they are now; raises UpriverError."""
        agents, audits = await asyncio.gather(
            self._remote.fleet.ListAgents(fleet_pb2.ListAgentsRequest(page_size=_AGENTS)),
            self._remote.audits.SummarizeAudits(audit_pb2.SummarizeAuditsRequest(parent=self._parent)),
        )
        return Audits(agents.agents, agents.total_size, audits.summaries)

    def _chosen(self, found: Sequence[pb.Calibration]) -> str:
        if self._asked:
            return f"{self._parent}/calibrations/{self._asked}"
        succeeded = [one.name for one in found if one.state == pb.CALIBRATION_STATE_SUCCEEDED]
        return next(iter([*succeeded, *(one.name for one in found)]), "")

    async def _whole(self, name: str) -> pb.Calibration | None:
        if not name:
            return None
        if self._kept is None or self._kept.name != name:
            asked = pb.GetCalibrationRequest(name=name)
            told: pb.Calibration = (await self._remote.policies.GetCalibration(asked)).calibration
            if state_name(told) not in _OVER:
                return told
            self._kept = told
        return self._kept
