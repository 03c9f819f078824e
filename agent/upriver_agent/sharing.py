"""What an agent pools, composed: its own sums, those from below, the parent that they go to."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any

from upriver.channels import ChannelOptions
from upriver.discovery.port import AgentRecord
from upriver.errors import DiskTrouble, UpriverError
from upriver.heads import MAX_BYTES, Head, read_head
from upriver.pool_sums import PoolPart
from upriver.services import handlers
from upriver.trials import Trial
from upriver_agent.blobs.download import Downloader
from upriver_agent.blobs.mesh import Above
from upriver_agent.installing.mesh_supply import SignedFile
from upriver_agent.lessons.book import LessonBook
from upriver_agent.lessons.looking import must_go
from upriver_agent.place import Place
from upriver_agent.pooling.epochs import Epochs
from upriver_agent.pooling.own import Clip, OwnSums
from upriver_agent.pooling.parents import Parents
from upriver_agent.pooling.pooler import Contribution, Pooler, PoolFacts, options_of
from upriver_agent.pooling.privacy import DELTA, Privacy
from upriver_agent.pooling.releases import Releases
from upriver_agent.pooling.sending import SERVICE, Sender, Ways
from upriver_agent.pooling.tryouts import Holdout, Tryouts
from upriver_agent.sections import AgentConfig
from upriver_agent.serving.loaded import LoadedVersion
from upriver_agent.transport.pooling import PoolServicer

_LOG = logging.getLogger(__name__)


class Sharing:
    """The pooling of one agent. One that shares nothing of its own still passes on what comes from below."""

    def __init__(
        self,
        config: AgentConfig,
        place: Place,
        book: LessonBook | None,
        agents: Callable[[], Sequence[AgentRecord]],
        channel: ChannelOptions,
        above: Above,
        downloader: Downloader,
        answering: Callable[[str], LoadedVersion],
    ) -> None:
        """`book` has the lessons, None where there are none. `channel` is how agents are called, `downloader` brings
        heads that are to be tried; `answering` gives the version that answers for a model, or raises UpriverError."""
        section = config.learning
        self._config = config
        self._privacy = Privacy(section.clip_norm, section.noise, section.releases) if section.noise else None
        self._tryouts: Tryouts | None = None
        own: tuple[Contribution, ...] = ()
        if book is not None and section.enabled and section.share != "none":
            self._tryouts = Tryouts(place.region, lambda trial: _head(downloader, trial, answering), self._stir)
            own = (Lessons(config, place.region, book, self._privacy, self._stir, answering), self._tryouts)
        epochs = Epochs(config.agent.state_dir)
        self.pooler = Pooler(
            place,
            options_of(section.pool_s, section.pool_mib << 20),
            own,
            agents,
            Parents(place, above.addresses),
            Sender(Ways(channel, above.channel, above.token)),
            epochs,
            has_pooled=epochs.used,
        )
        if self._privacy is not None:
            _LOG.info(
                "what is pooled of one lesson is hidden by noise: (%.3g, %g)-differential privacy over %d releases",
                self._privacy.epsilon(), DELTA, self._privacy.releases,
            )  # fmt: skip

    def service(self, blocking: Callable[[], AbstractContextManager[None]]) -> Any:
        """PoolService's handler; `blocking` marks a serving thread as waiting."""
        config = self._config
        trusts_network = config.cascade.trust == "network"
        return handlers(SERVICE, PoolServicer(config.agent.id, self.pooler, trusts_network, blocking))

    def start(self) -> None:
        """Begins, in the background; once the book is open."""
        self.pooler.start()

    def holds_out(self, holdout: Holdout) -> None:
        """Sets where the questions are that were held out; before it there are none."""
        if self._tryouts is not None:
            self._tryouts.holdout = holdout

    def trials(self, trials: Sequence[Trial]) -> None:
        """Takes in the heads that are to be tried here, all of them; never waits."""
        if self._tryouts is not None:
            self._tryouts.take(trials)
            if trials:
                self._tryouts.start()

    def facts(self) -> PoolFacts:
        """How pooling goes."""
        return self.pooler.facts()

    def privacy(self) -> tuple[float, float]:
        """The ε and δ of what one lesson adds; zeros where no noise is wanted."""
        return (self._privacy.epsilon(), DELTA) if self._privacy is not None else (0.0, 0.0)

    def counters(self) -> Mapping[str, int]:
        """What was pooled, by name."""
        return {"pooled_bytes_up": self.pooler.facts().bytes_up}

    def close(self) -> None:
        """Ends."""
        if self._tryouts is not None:
            self._tryouts.close()
        self.pooler.close()

    def _stir(self) -> None:
        self.pooler.stir()


def _head(downloader: Downloader, trial: Trial, answering: Callable[[str], LoadedVersion]) -> Head:
    """The head of a trial, fetched if it is not here, as what changes of the one that answers; raises UpriverError."""
    bases: tuple[str, ...] = ()
    with suppress(UpriverError):
        head = answering(trial.model).policy.document.head
        bases = (head,) if head else ()
    path = downloader.fetch(SignedFile(trial.head, -1, most_bytes=MAX_BYTES), bases, threading.Event())
    try:
        return read_head(path.read_bytes())
    except OSError as error:
        raise DiskTrouble(f"head {trial.head}: {error.strerror or error}") from error


def _own_labels(answering: Callable[[str], LoadedVersion], model: str, version_digest: str) -> tuple[str, ...]:
    """The labels of a version; none for one that does not answer here."""
    with suppress(UpriverError):
        version = answering(model).version
        if version.digest == version_digest:
            return version.labels
    return ()


class Lessons:
    """The sums over this agent's lessons, as they are or with noise; see `Contribution`."""

    def __init__(
        self,
        config: AgentConfig,
        region: str,
        book: LessonBook,
        privacy: Privacy | None,
        urgent: Callable[[], None],
        answering: Callable[[str], LoadedVersion],
    ) -> None:
        """`urgent` is called when something had to be forgotten; `answering` gives the version that answers."""
        self._region = region
        self._book = book
        self._own = OwnSums(Clip(config.learning.clip_norm), urgent, partial(_own_labels, answering))
        self._releases = Releases(config.agent.state_dir, self._own, region, privacy) if privacy is not None else None
        self._follows = False
        self._told = ""
        self._lock = threading.Lock()

    def marks(self) -> object:
        """Differs whenever the sums do."""
        return self._own.marks()

    def parts(self) -> Sequence[PoolPart]:
        """The sums; none as long as the journal can't be read."""
        with self._lock:
            try:
                if not self._follows:
                    with self._book.still():
                        self._own.follow(self._book, self._book.journal.read(must_go))
                    self._follows = True
                self._own.catch_up(self._book)
                return self._releases.parts() if self._releases is not None else self._own.parts(self._region)
            except DiskTrouble as error:
                if str(error) != self._told:
                    _LOG.warning("lessons can't be pooled: %s", error)
                self._told = str(error)
                return ()
