"""Agreements as operators write them: `top_k:k=3`, `tolerance:absolute=0.1,relative=0`. Pure."""

from upriver.agreement import Agreement, problems_of
from upriver.errors import InvalidInput


def read_agreement(text: str) -> Agreement:
    """The agreement that a text names; raises InvalidInput with what there is instead."""
    name, _, rest = text.partition(":")
    settings: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        try:
            settings[key.strip()] = float(value)
        except ValueError as error:
            raise InvalidInput(f"agreement {text!r}: {part!r}: expected NAME:setting=number,...") from error
        if not equals:
            raise InvalidInput(f"agreement {text!r}: {part!r}: expected NAME:setting=number,...")
    problems = problems_of(name.strip(), settings)
    if problems:
        raise InvalidInput("; ".join(problems))
    return Agreement(name.strip(), settings)
