"""Whatever is done to the repository may end before any of its writes: agents are served, and a repetition mends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.control_plane_trust import DAY, NAME, ControlPlane, agent
from upriver.errors import DiskTrouble, NotNow
from upriver_control.trust.metadata_store import FolderMetadataStore, Write
from upriver_control.trust.repository import Repository, TrustOptions

FEW_BINS = TrustOptions(bin_bits=1)


class Ended(Exception):
    """The process is no more."""


class EndingStore:
    """A folder that ends its process after so many writes."""

    def __init__(self, folder: Path, writes: int) -> None:
        self._store = FolderMetadataStore(folder)
        self._left = writes

    def read(self, name: str) -> bytes | None:
        return self._store.read(name)

    def remove(self, name: str) -> None:
        self._store.remove(name)

    @contextmanager
    def change(self) -> Iterator[Write]:
        with self._store.change() as write:

            def counted(name: str, data: bytes) -> None:
                if not self._left:
                    raise Ended
                self._left -= 1
                write(name, data)

            yield counted


WORK: dict[str, Callable[[Repository], object]] = {
    "publish": lambda repository: repository.publish_policy("digits", "{}"),
    "withdraw": lambda repository: repository.withdraw("digits", "other"),
    "refresh": lambda repository: repository.refresh(),
    "rotate-root": lambda repository: repository.rotate_root(),
    "targets": lambda repository: repository.rotate_online("targets"),
    "bins": lambda repository: repository.rotate_online("bins"),
    "snapshot": lambda repository: repository.rotate_online("snapshot"),
    "timestamp": lambda repository: repository.rotate_online("timestamp"),
}


@pytest.mark.parametrize("work", WORK)
def test_ending_before_any_write_leaves_a_repository_that_serves_and_goes_on(tmp_path, work) -> None:
    for writes in range(20):
        folder = tmp_path / f"{writes}"
        control = ControlPlane(folder, FEW_BINS)
        digest = control.publish("v1")
        control.publish("other")
        trust = agent(control, folder / "agent")
        trust.version(NAME.format("v1"), digest)
        if work == "refresh":
            control.now += 46 * DAY
        ending = Repository(
            EndingStore(control.metadata, writes), control.keys, FEW_BINS, partial(getattr, control, "now")
        )
        try:
            WORK[work](ending)
        except Ended:
            if work != "refresh":  # there everything has expired until it is done
                trust.version(NAME.format("v1"), digest)
                agent(control, folder / "newcomer").version(NAME.format("v1"), digest)
            WORK[work](control.repository)
            trust.version(NAME.format("v1"), digest)
            trust.version(NAME.format("v2"), control.publish("v2"))
        else:
            assert writes > 0
            break
    else:
        pytest.fail("it never came to its end")


def test_the_first_start_may_end_before_any_write(tmp_path) -> None:
    for writes in range(10):
        folder = tmp_path / f"{writes}"
        try:
            ControlPlane(folder, FEW_BINS, partial(EndingStore, writes=writes))
        except Ended:
            again = ControlPlane(folder, FEW_BINS)
            agent(again, folder / "agent").version(NAME.format("v1"), again.publish("v1"))
        else:
            break
    else:
        pytest.fail("it never came to its end")


def test_a_writer_that_hangs_is_not_waited_for_without_end(tmp_path) -> None:
    first, second = FolderMetadataStore(tmp_path), FolderMetadataStore(tmp_path, timeout_s=0.05)
    with first.change(), pytest.raises(NotNow, match="another process"), second.change():
        pytest.fail("two writers at once")
    with second.change() as write:
        write("1.root.json", b"{}")
    assert first.read("1.root.json") == b"{}"


@pytest.mark.parametrize(
    "name", ["", "../keys/targets.pem", "a/b.json", ".lock", ".1.root.json.new", "\0.json", "x" * 5000]
)
def test_only_metadata_can_be_read(tmp_path, name) -> None:
    (tmp_path / ".lock").write_text("")
    assert FolderMetadataStore(tmp_path).read(name) is None


def test_a_disk_that_fails_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FolderMetadataStore(tmp_path / "file/metadata")
    with pytest.raises(DiskTrouble, match="signed metadata in"), store.change():
        pytest.fail("there is no folder")
