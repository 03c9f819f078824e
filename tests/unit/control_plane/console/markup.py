"""What a browser makes of markup, for the tests of drawings."""

from html.parser import HTMLParser


class Seen(HTMLParser):
    """Elements with their attributes, in order, and the texts between them."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a name."""
        return [attributes for element, attributes in self.elements if element == name]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all elements that have a class."""
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


SCRIPTS = ("script", "iframe", "object", "embed", "style", "base")


def harmless(markup: str) -> bool:
    """Whether nothing in it is run: no scripts, no handlers of events, no addresses that are scripts."""
    seen = Seen(markup)
    return not any(
        element in SCRIPTS
        or any(
            key.startswith("on") or (key in ("href", "src") and (value or "").lower().startswith("javascript"))
            for key, value in attributes.items()
        )
        for element, attributes in seen.elements
    )
