"""A field that chooses agents by their labels, whose choice is in the address."""

from upriver_control.console.drawing.svg import Markup, Value, tag


def choose(path: str, selector: str) -> Markup:
    """A form that leads to the same page with a selector."""
    field: dict[str, Value] = {
        "id": "selector", "name": "selector", "type": "search", "value": selector, "data-search": True, "size": 32,
        "placeholder": "tier=device,region=eu", "autocomplete": "off", "spellcheck": "false",
    }  # fmt: skip
    return tag(
        "form",
        {"method": "get", "action": path, "class": "choose", "role": "search"},
        tag("label", {"for": "selector"}, "Agents with labels"),
        tag("input", field),
        tag("button", {"type": "submit"}, "Show"),
        tag("a", {"href": path}, "Show all") if selector else None,
    )
