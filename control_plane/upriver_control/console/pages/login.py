"""The login: plain markup, as nobody who has not shown the token is served anything else."""

from upriver_control.console.drawing.svg import Markup, document, tag
from upriver_control.console.site import head


def draw(target: str, wrong: bool) -> Markup:
    """The page; `target` is where to go then, `wrong` says that what was shown is not the token."""
    label = tag("label", {"for": "token"}, "The operator's token")
    field = tag(
        "input",
        {
            "id": "token", "name": "token", "type": "password", "required": True, "autofocus": True,
            "autocomplete": "current-password", "aria-describedby": "where",
        },
    )  # fmt: skip
    hint = tag(
        "p",
        {"id": "where", "class": "quiet"},
        "It is in the file ",
        tag("code", None, "operator-token"),
        " of the control plane's state folder, which is ",
        tag("code", None, "upriver-control-state"),
        " where ",
        tag("code", None, "state.folder"),
        " names no other.",
    )
    form = tag(
        "form",
        {"method": "post", "action": "/login", "class": "login"},
        tag("h1", None, "Upriver"),
        tag("p", {"class": "bad", "role": "alert"}, "That is not the operator's token.") if wrong else None,
        tag("input", {"type": "hidden", "name": "next", "value": target}),
        label, field, hint,
        tag("button", {"type": "submit", "class": "main-action"}, "Log in"),
    )  # fmt: skip
    return document("Log in · Upriver", head(), tag("body", {"class": "plain"}, tag("main", None, form)))
