"""What a console is told when it is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """`listen` is where browsers call, `host:port`; `token` the operator's, empty where none is asked for."""

    listen: str
    token: str
    version: str

    @property
    def host(self) -> str:
        """The name or address of `listen`."""
        return self.listen.rpartition(":")[0].strip("[]")
