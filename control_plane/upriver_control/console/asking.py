"""News, or the sentence that says why there can be none: what was asked for is not there, or is nothing to ask for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, TypeVar

from upriver.errors import InvalidInput, NotFound

T = TypeVar("T")
_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why."""

    why: str


async def or_refused(source: AsyncIterator[T]) -> AsyncIterator[T | Refused]:
    """The same news, and when the question is refused for good, that; other errors go on to the feed."""
    try:
        async for news in source:
            yield news
    except (InvalidInput, NotFound) as error:
        yield Refused(str(error))
        await asyncio.sleep(_AGAIN_S)
