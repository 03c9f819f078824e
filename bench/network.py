"""A small network of namespaces on this machine, in which a process can be cut off so that its packets are dropped.

Each member is a network namespace with a wire to a switch (a bridge in a namespace of its own); this machine's own
programs have a wire to it too. Linux, as root.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

_NETWORK: Final = "198.18.77"
"""Of the addresses that RFC 2544 keeps for benchmarks."""
_CALL_S: Final = 20.0


class NetworkMissing(Exception):
    """This machine, or this user, can't make such a network."""


class Network:
    """A context manager; all of it is gone at its end."""

    def __init__(self, members: Sequence[str]) -> None:
        """Makes the network; raises NetworkMissing, and leaves nothing behind, when that is not possible."""
        self._tag = f"up{os.getpid() % 100_000}"
        self._switch = f"{self._tag}-switch"
        self._numbers = {name: number for number, name in enumerate(members, 2)}
        self._made: list[str] = []
        if shutil.which("ip") is None or os.geteuid() != 0:
            raise NetworkMissing("network namespaces take root, and the program `ip`")
        try:
            self._make()
        except NetworkMissing:
            self.close()
            raise

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def address(self, member: str) -> str:
        """The member's address."""
        return f"{_NETWORK}.{self._numbers[member]}"

    def inside(self, member: str) -> list[str]:
        """What comes before a command that is to run there."""
        return ["ip", "netns", "exec", self._name(member)]

    def cut(self, member: str) -> None:
        """Drops everything to and from a member."""
        self._ip("-n", self._switch, "link", "set", f"port{self._numbers[member]}", "down")

    def mend(self, member: str) -> None:
        """Lets its packets through again."""
        self._ip("-n", self._switch, "link", "set", f"port{self._numbers[member]}", "up")

    def close(self) -> None:
        """Takes it down; what still runs in it loses its network."""
        for name in reversed(self._made):
            self._ip("netns", "delete", name)
        self._made.clear()

    def _make(self) -> None:
        self._namespace(self._switch)
        self._ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        self._ip("-n", self._switch, "link", "set", "br0", "up")
        for member, number in self._numbers.items():
            self._namespace(self._name(member))
            self._wire(number, self._name(member))
        self._wire(1, None)

    def _namespace(self, name: str) -> None:
        self._ip("netns", "add", name)
        self._made.append(name)
        self._ip("-n", name, "link", "set", "lo", "up")

    def _wire(self, number: int, namespace: str | None) -> None:
        """A wire from the switch to a namespace; to this machine's own, for none."""
        end, port = f"{self._tag}w{number}", f"port{number}"
        self._ip("link", "add", end, "type", "veth", "peer", "name", port, "netns", self._switch)
        self._ip("-n", self._switch, "link", "set", port, "master", "br0")
        self._ip("-n", self._switch, "link", "set", port, "up")
        where: tuple[str, ...] = ()
        if namespace is not None:
            self._ip("link", "set", end, "netns", namespace)
            where = ("-n", namespace)
        self._ip(*where, "address", "add", f"{_NETWORK}.{number}/24", "dev", end)
        self._ip(*where, "link", "set", end, "up")

    def _name(self, member: str) -> str:
        return f"{self._tag}-{member}"

    def _ip(self, *arguments: str) -> None:
        command = ["ip", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CALL_S, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            raise NetworkMissing(f"{' '.join(command)}: {done.stderr.strip()}")
