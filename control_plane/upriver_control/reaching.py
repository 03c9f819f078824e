"""What has agents called, composed: the inbox of all tickets, what was asked, and asking it again."""

from upriver.channels import TlsFiles
from upriver_control.calling.agents import Agents, CallingOptions
from upriver_control.calling.inbox import Inbox
from upriver_control.calling.inputs import QuestionInputs
from upriver_control.calling.reach import is_loopback, networks_of
from upriver_control.config import ControlPlaneConfig
from upriver_control.lessons.keeper import Keeper
from upriver_control.services.inbox import InboxServicer
from upriver_control.sessions.sessions import Sessions


class Reaching:
    """Made and used on a running event loop."""

    def __init__(self, config: ControlPlaneConfig, sessions: Sessions, lessons: Keeper) -> None:
        """`sessions` are those of agents that have shown the join token: their word alone says where they are."""
        self.agents = Agents(sessions.agent, calling_options(config))
        self.inbox = InboxServicer(Inbox(self.agents, lambda: sessions.agents().values()))
        self.inputs = QuestionInputs(self.agents, lessons.inputs)

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
