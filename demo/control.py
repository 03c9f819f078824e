"""The demo's control plane, and what its operator does: publishes versions, starts rollouts, looks at the fleet.

The calls are those of `upriver model`, `upriver rollout` and `upriver fleet`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from demo.processes import DemoFailed, Program, end
from upriver.v1 import audit_pb2, fleet_pb2, rollout_pb2, sync_pb2
from upriver_control.cli.connection import Connection
from upriver_control.cli.publishing import Publication, publish

MODELS = Path(__file__).parent / "models"
_ROLLOUTS = rollout_pb2.DESCRIPTOR.services_by_name["RolloutService"]
_FLEET = fleet_pb2.DESCRIPTOR.services_by_name["FleetService"]
_AUDITS = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]
_PUBLISH_S = 120.0


class ControlPlane:
    """A control plane in a process of its own. Its operator's calls raise UpriverError."""

    def __init__(self, folder: Path, more: str = "", console: bool = False) -> None:
        """Starts it, with everything that it keeps below `folder`, and `more` sections of its configuration.

        With a `console` there are pages for browsers, on a free port.

        `wait_ready` comes before any other call.
        """
        self._state = folder / "state-control"
        config = folder / "control.toml"
        config.write_text(
            f'[state]\nfolder = "{self._state}"\n[server]\nlisten = "127.0.0.1:0"\n'
            f'[console]\nenabled = {str(console).lower()}\nlisten = "127.0.0.1:0"\n{more}'
        )
        self.program = Program("control", ["-m", "upriver_control", "run", "-c", str(config)], folder)
        self.address = ""
        self.join = ""
        self.console = ""
        self._connection: Connection | None = None

    def wait_ready(self) -> None:
        """Waits until it serves; raises DemoFailed with its log."""
        facts = self.program.wait_ready()
        self.address, self.join, self.console = facts["address"], facts["join"], facts["console"]
        self._connection = Connection(self.address, self.token_file)

    def stop(self) -> None:
        """Ends it."""
        if self._connection is not None:
            self._connection.close()
        end([self.program])

    @property
    def token_file(self) -> Path:
        """The operator's token."""
        return self._state / "operator-token"

    def login(self, page: str = "/") -> str:
        """A link that logs a browser in and shows a page; empty where there is no console."""
        return f"{self.console}/login?token={self.token_file.read_text().strip()}&next={page}" if self.console else ""

    @property
    def access(self) -> str:
        """How commands are told where it is and that they may."""
        return f"--control-plane {self.address} --token-file {self.token_file}"

    def publish(self, folder: Path, parent: str = "") -> str:
        """Publishes a version; gives its name, `models/{model}/versions/{version}`."""
        order = Publication(folder, parent, "", {}, (), None, None, "best", _PUBLISH_S)
        version, _, _ = publish(self.connection, order, Console(quiet=True))
        return version.name

    def roll_out(
        self, version: str, selector: str, strategy: rollout_pb2.Strategy | None = None, policy: str = ""
    ) -> str:
        """Starts a rollout and gives its name; without a strategy it goes to all at once.

        `policy` is the name of the policy that goes with the version; empty for its manifest's.
        """
        request = rollout_pb2.CreateRolloutRequest(version=version, selector=selector, strategy=strategy, policy=policy)
        return str(self.connection.call(_ROLLOUTS, "CreateRollout", request).rollout.name)

    def rollout(self, name: str) -> rollout_pb2.Rollout:
        """A rollout as it is now."""
        request = rollout_pb2.GetRolloutRequest(name=name)
        found: rollout_pb2.Rollout = self.connection.call(_ROLLOUTS, "GetRollout", request).rollout
        return found

    def agents(self) -> Mapping[str, fleet_pb2.Agent]:
        """Every agent by its id."""
        listed = self.connection.call(_FLEET, "ListAgents", fleet_pb2.ListAgentsRequest(page_size=1000))
        return {agent.name.removeprefix("agents/"): agent for agent in listed.agents}

    def monitors(self, model: str) -> Mapping[str, sync_pb2.Monitor]:
        """What audits say of each agent's active pair."""
        agents = self.agents()
        return {
            name: slot.reported.monitor for name, agent in agents.items() for slot in agent.slots if slot.model == model
        }

    def audits(self, model: str) -> int:
        """How many answers of agents below the top were held against its, as far as agents have told."""
        request = audit_pb2.SummarizeAuditsRequest(parent=f"models/{model}")
        summaries = self.connection.call(_AUDITS, "SummarizeAudits", request).summaries
        return sum(summary.passed for summary in summaries)

    def publish_all(self, tiers: Mapping[str, Path]) -> Mapping[str, str]:
        """Publishes each tier's version; gives the versions' names by tier, in the same order."""
        with ThreadPoolExecutor(len(tiers)) as pool:
            return dict(zip(tiers, pool.map(self.publish, tiers.values()), strict=True))

    @property
    def connection(self) -> Connection:
        """The operator's connection; raises DemoFailed before `wait_ready`."""
        if self._connection is None:
            raise DemoFailed("the control plane was not waited for")
        return self._connection


def active_version(agent: fleet_pb2.Agent, model: str) -> str:
    """The version that answers in an agent's slot, as its name within the model; empty when none does."""
    for slot in agent.slots:
        if slot.model == model:
            return str(slot.reported.active.version.rpartition("/")[2])
    return ""
