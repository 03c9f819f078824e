"""What goes wrong with one head keeps no other one back."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from upriver.errors import UpriverError

_LOG: Final = logging.getLogger(__name__)


@contextmanager
def apart(what: str) -> Iterator[None]:
    """Logs trouble with `what` and goes on after the block; it is done again at the next look."""
    try:
        yield
    except UpriverError as error:
        _LOG.warning("%s waits: %s", what, error)
