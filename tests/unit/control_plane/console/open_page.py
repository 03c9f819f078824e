"""An open page that tests look at: parts that keep what was set, and stand-ins for what draws nothing here."""

from typing import Any


class Anything:
    """Has whatever is asked of it, and keeps what it was called with."""

    def __init__(self) -> None:
        self.called: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = Anything()
        return self.__dict__[name]

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        self.called.append(arguments)
        return self.given

    def __enter__(self) -> "Anything":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""


class Part:
    """A piece of a page that keeps what was set last."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.element = Anything()
        self.content = ""

    def set(self, content: str) -> None:
        self.content = content


class Parts:
    """A frame that keeps its parts."""

    def __init__(self) -> None:
        self.made: list[Part] = []

    def part(self, *_: Any, **__: Any) -> Part:
        self.made.append(Part())
        return self.made[-1]
