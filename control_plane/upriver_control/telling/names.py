"""Names of resources as people say them."""


def short(name: str) -> str:
    """The last part of a name: `models/digits/versions/7` as `7`."""
    return name.rpartition("/")[2]
