"""What has agents called, composed: the inbox of all tickets, what was asked, and asking it again."""

import asyncio

from upriver.channels import TlsFiles
from upriver_control.calling.again import AskedAgain
from upriver_control.calling.agents import Agents, CallingOptions
from upriver_control.calling.inbox import Inbox
from upriver_control.calling.inputs import QuestionInputs
from upriver_control.calling.own_answer import VersionAnswers
from upriver_control.calling.reach import is_loopback, networks_of
from upriver_control.config import ControlPlaneConfig
from upriver_control.kept import Kept
from upriver_control.lessons.keeper import Keeper
from upriver_control.services.inbox import InboxServicer
from upriver_control.sessions.sessions import Sessions
from upriver_control.spans.own import OwnSpans
from upriver_control.store.registry import RegistryStore
from upriver_control.working.folders import Folders


class Reaching:
    """Made and used on a running event loop."""

    def __init__(
        self, kept: Kept, sessions: Sessions, lessons: Keeper, registry: RegistryStore, spans: OwnSpans
    ) -> None:
        """`sessions` are those of agents that have shown the join token: their word alone says where they are."""
        config = kept.config
        self.agents = Agents(sessions.agent, calling_options(config))
        self._folders = Folders(config.state.folder / "again")
        self.inbox = InboxServicer(Inbox(self.agents, lambda: sessions.agents().values()))
        self.inputs = QuestionInputs(self.agents, lessons.lesson)
        self.again = AskedAgain(
            self.agents,
            lambda: sessions.agents().values(),
            self.inputs,
            registry,
            VersionAnswers(kept.artifacts, self._folders, config.policies.memory_mib),
            spans,
        )

    async def start(self) -> None:
        """Removes what processes that were killed have left behind."""
        await asyncio.to_thread(self._folders.clean)

    async def close(self) -> None:
        """Ends all calls to agents."""
        await self.agents.close()


def calling_options(config: ControlPlaneConfig) -> CallingOptions:
    """How a configuration has agents called."""
    section = config.calling
    return CallingOptions(
        enabled=section.enabled,
        tls=TlsFiles(section.ca, section.certificate, section.key),
        tls_only=section.ca is not None or section.certificate is not None,
        networks=networks_of(section.networks),
        at_home=is_loopback(config.server.listen.rpartition(":")[0]),
    )
