"""Downloads of blobs: from the nearest source that has them, resumed where they ended, one per digest at a time."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from upriver.backoff import full_jitter_s
from upriver.chunks import check_list, list_size
from upriver.errors import (
    BlobNotFound,
    InvalidInput,
    QueueFull,
    RuntimeMissing,
    Unreachable,
    Untrusted,
    UpriverError,
)
from upriver.patch import MAX_BYTES as MAX_DELTA_BYTES
from upriver.patch import apply_delta
from upriver_agent.blobs.bandwidth import Bandwidth
from upriver_agent.blobs.flight import Flight
from upriver_agent.blobs.sources import BlobSource, Delta
from upriver_agent.blobs.store import BlobStore, Partial, told
from upriver_agent.installing.mesh_supply import SignedFile

_LOG = logging.getLogger(__name__)
_LOOK_S: Final = 0.1
_LARGEST: Final = 1 << 31
_UNKNOWN: Final = -1
_BUSY_STEPS: Final = 3  # of the backoff, for a source that serves others just now


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """`bytes_per_s` 0 is no bound. A source that sends nothing for `stall_s` is left for the next one.

    After `rounds` rounds over all sources without a new byte a download ends; waits between rounds are by full jitter.
    An agent that serves others just now is waited for, at most `patience_s` without a byte: going past it would have
    the control plane send the blob to each of them.
    """

    bytes_per_s: float = 0.0
    stall_s: float = 20.0
    rounds: int = 6
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 15.0
    patience_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes received, by who sent them, and bytes that deltas made needless."""

    from_control_plane: int = 0
    from_agents: int = 0
    saved_by_deltas: int = 0


class Downloader:
    """Fetches blobs into a store. `sources` gives who to ask, nearest first, each time anew."""

    def __init__(
        self,
        store: BlobStore,
        sources: Callable[[], Sequence[BlobSource]],
        options: DownloadOptions | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._sources = sources
        self._options = options or DownloadOptions()
        self._chance = chance
        self._bandwidth = Bandwidth(self._options.bytes_per_s)
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self._traffic = Traffic()
        self.ended: Callable[[], None] = lambda: None
        """Called when a download has ended; set by whoever tells what was received."""

    @property
    def traffic(self) -> Traffic:
        """What was received so far."""
        with self._lock:
            return self._traffic

    def fetch(self, file: SignedFile, bases: Sequence[str], cancelled: threading.Event) -> Path:
        """The path of a blob, fetched if it is not here; `bases` are digests that a delta may start from.

        Raises Unreachable (also when cancelled or when nobody has it), Untrusted and DiskTrouble.
        """
        while True:
            path = self._store.path(file.digest)
            if path is not None:
                return path
            with self.join(file, bases) as flight:
                try:
                    while not flight.wait(_LARGEST, _LOOK_S).done:
                        if cancelled.is_set():
                            raise Unreachable(f"the download of {file.digest} was cancelled")
                except BlobNotFound as error:
                    raise Unreachable(str(error)) from error

    @contextmanager
    def join(self, file: SignedFile, bases: Sequence[str] = (), rounds: int | None = None) -> Iterator[Flight]:
        """Waits for a download, begun if there is none; a size of -1 is not known yet."""
        flight = self._enter(file, bases, rounds or self._options.rounds)
        try:
            yield flight
        finally:
            flight.leave()

    def _enter(self, file: SignedFile, bases: Sequence[str], rounds: int) -> Flight:
        with self._lock:
            flight = self._flights.get(file.digest)
            if flight is not None and flight.enter():
                return flight
            before = flight
            flight = self._flights[file.digest] = Flight(file.digest)
            flight.enter()
        run = _Run(self._store, self._sources, self._options, self, flight, before, rounds)
        threading.Thread(target=self._fly, args=(run, file, bases), name="upriver-download", daemon=True).start()
        return flight

    def _fly(self, run: "_Run", file: SignedFile, bases: Sequence[str]) -> None:
        flight = run.flight
        threading.Thread(target=_watch, args=(flight, self._options.stall_s), name="upriver-stall", daemon=True).start()
        try:
            if run.before is not None:
                run.before.ended.wait(self._options.stall_s)  # it was abandoned; its file is ours when it has ended
            path = run.bring(file, bases)
            with told(f"blob {file.digest}"):
                flight.succeed(path)
        except UpriverError as error:
            flight.fail(error)
        finally:
            flight.fail(Unreachable(f"the download of {file.digest} broke off"))  # no effect when it has ended
            with self._lock:
                if self._flights.get(file.digest) is flight:
                    del self._flights[file.digest]
            self.ended()

    def count(self, received: int, is_agent: bool) -> None:
        """Counts received bytes."""
        with self._lock:
            agents, control = (received, 0) if is_agent else (0, received)
            self._traffic = replace(
                self._traffic,
                from_agents=self._traffic.from_agents + agents,
                from_control_plane=self._traffic.from_control_plane + control,
            )

    def saved(self, count: int) -> None:
        """Counts bytes that a delta made needless."""
        with self._lock:
            self._traffic = replace(self._traffic, saved_by_deltas=self._traffic.saved_by_deltas + count)

    def pause(self, flight: Flight, count: int) -> None:
        """Waits until the bandwidth allows so many bytes more."""
        flight.abandoned.wait(self._bandwidth.take(count, time.monotonic()))

    def backoff(self, flight: Flight, failures: int) -> None:
        """Waits after a round that brought nothing."""
        options = self._options
        wait = full_jitter_s(failures, options.first_backoff_s, options.longest_backoff_s, self._chance)
        flight.abandoned.wait(wait)


@dataclass(frozen=True, slots=True)
class _Run:
    """What brings one blob, on its own thread."""

    store: BlobStore
    sources: Callable[[], Sequence[BlobSource]]
    options: DownloadOptions
    downloader: Downloader
    flight: Flight
    before: Flight | None
    rounds: int

    def bring(self, file: SignedFile, bases: Sequence[str]) -> Path:
        path = self.store.path(file.digest)
        if path is not None:
            return path
        try:
            path = self._by_delta(file, bases)
            return path or self._whole(file)
        finally:
            self.store.settle(file.digest)

    def _by_delta(self, file: SignedFile, bases: Sequence[str]) -> Path | None:
        have = [base for base in bases[:16] if base != file.digest and self.store.path(base) is not None]
        if not have or not (file.size_bytes == _UNKNOWN or 0 < file.size_bytes <= MAX_DELTA_BYTES):
            return None
        for source in self.sources():
            try:
                delta = source.find_delta(file.digest, have)
                if delta is None or delta.base not in have or not _leads_to(delta, file):
                    continue
                if 0 < delta.delta_bytes < delta.size_bytes:
                    return self._apply(replace(file, size_bytes=delta.size_bytes), delta)
            except (Unreachable, Untrusted, InvalidInput, RuntimeMissing) as error:
                _LOG.info("no delta to %s from %s: %s", file.digest, source.name, error)
            except UpriverError as error:
                _LOG.warning("no delta to %s from %s: %s", file.digest, source.name, error)
        return None

    def _apply(self, file: SignedFile, delta: Delta) -> Path | None:
        by = self.downloader.fetch(SignedFile(delta.digest, delta.delta_bytes), (), self.flight.abandoned)
        base = self.store.path(delta.base)
        if base is None:
            return None
        self.store.reserve(file.digest, file.size_bytes)
        made = self.store.aside(file.digest)
        with told(f"blob {file.digest}"):
            apply_delta(base, by, made, file.size_bytes, file.digest)
        self.store.adopt(file.digest, made)
        self.downloader.saved(file.size_bytes - delta.delta_bytes)
        return self.store.path(file.digest)

    def _whole(self, file: SignedFile) -> Path:
        sums = b""
        if file.chunks:
            size = list_size(file.size_bytes)
            path = self.downloader.fetch(SignedFile(file.chunks, size), (), self.flight.abandoned)
            with told(f"chunk list {file.chunks}"):
                sums = path.read_bytes()
            check_list(sums, file.size_bytes)
        whole = _Whole(self, file, sums)
        try:
            return whole.bring()
        finally:
            whole.close()


class _Whole:
    """One blob, chunk by chunk, over all rounds."""

    def __init__(self, run: _Run, file: SignedFile, sums: bytes) -> None:
        self._run = run
        self._file = file
        self._sums = sums
        self._partial: Partial | None = None
        self._left: set[str] = set()  # sources that sent what is not the blob's
        self._gave: set[str] = set()
        if file.size_bytes != _UNKNOWN:
            self._open(file.size_bytes)

    def bring(self) -> Path:
        failures = waits = 0
        since = time.monotonic()
        while True:
            before = self._offset
            missing, busy, troubles = True, False, []
            for source in self._run.sources():
                if source.name in self._left:
                    continue
                self._run.flight.give_up()
                try:
                    return self._from(source)
                except BlobNotFound as error:
                    troubles.append(f"{source.name}: {error}")
                except Untrusted as error:
                    missing = False
                    self._left |= {source.name, *(self._gave if not self._sums else ())}
                    troubles.append(f"{source.name}: {error}")
                    _LOG.warning("%s is left for this download: %s", source.name, error)
                except (InvalidInput, QueueFull, Unreachable) as error:
                    missing = False
                    troubles.append(f"{source.name}: {error}")
                    busy = isinstance(error, QueueFull) and source.is_agent and self._is_patient(since)
                if self._partial is not None:
                    self._partial.rewind()
                if busy:
                    break
            self._run.flight.give_up()
            if self._offset > before:
                since, waits = time.monotonic(), 0
            if busy:
                waits += 1
                self._run.downloader.backoff(self._run.flight, min(waits, _BUSY_STEPS))
                continue
            failures = 1 if self._offset > before else failures + 1
            if failures >= self._run.rounds or (troubles and len(self._left) >= len(self._run.sources())):
                told_by = "; ".join(troubles) or "nobody to ask"
                kind = BlobNotFound if missing and troubles else Unreachable
                raise kind(f"{self._file.digest} can't be fetched: {told_by}")
            self._run.downloader.backoff(self._run.flight, failures)

    def close(self) -> None:
        if self._partial is not None:
            self._partial.close()

    def _is_patient(self, since: float) -> bool:
        return time.monotonic() - since < self._run.options.patience_s

    @property
    def _offset(self) -> int:
        return 0 if self._partial is None else self._partial.offset

    def _from(self, source: BlobSource) -> Path:
        partial = self._partial
        if partial is None or partial.offset < partial.size_bytes or not partial.size_bytes:
            self._receive(source)
        partial = self._partial
        if partial is None or partial.offset < partial.size_bytes:
            raise Unreachable(f"{source.name} ended early, at byte {self._offset}")
        try:
            return partial.finish()
        except Untrusted:
            self._told()
            if not self._gave:  # it was all here from before: nobody is to blame
                raise Unreachable("what was kept of it is damaged, and begun anew") from None
            raise

    def _receive(self, source: BlobSource) -> None:
        flight, start = self._run.flight, self._offset
        transfer = source.fetch(self._file.digest, start)
        flight.expect(transfer)
        again = False
        try:
            for offset, data, total in transfer:
                flight.expect(None)
                again = self._partial is None and self._open(total)
                partial = self._partial
                if partial is None or again:
                    break
                if total != partial.size_bytes or offset != partial.offset:
                    raise Untrusted(
                        f"byte {offset} of {total} came; expected byte {partial.offset} of {partial.size_bytes}"
                    )
                self._run.downloader.count(len(data), source.is_agent)
                self._gave.add(source.name)
                partial.add(data)
                self._told()
                self._run.downloader.pause(flight, len(data))
                flight.give_up()
                if partial.offset == partial.size_bytes:
                    break
                flight.expect(transfer)
        finally:
            flight.expect(None)
            transfer.cancel()
        if again:
            self._receive(source)  # once at most: from here on the size is known

    def _open(self, size: int) -> bool:
        """Opens the partial file; whether something of it is here already."""
        most = self._file.most_bytes
        if not 0 <= size <= most:
            raise Untrusted(f"{self._file.digest} is said to have {size} bytes; expected at most {most}")
        self._run.store.reserve(self._file.digest, size)
        self._partial = self._run.store.partial(self._file.digest, size, self._sums)
        self._told()
        return self._partial.verified > 0

    def _told(self) -> None:
        if self._partial is not None:
            self._run.flight.advance(self._partial.verified, self._partial.size_bytes, self._partial.path)


def _watch(flight: Flight, stall_s: float) -> None:
    while not flight.ended.wait(_LOOK_S):
        flight.check(stall_s)


def _leads_to(delta: Delta, file: SignedFile) -> bool:
    """Whether a delta leads to a file of the size that was signed, or of one that it may have."""
    if file.size_bytes == _UNKNOWN:
        return 0 < delta.size_bytes <= min(file.most_bytes, MAX_DELTA_BYTES)
    return delta.size_bytes == file.size_bytes
