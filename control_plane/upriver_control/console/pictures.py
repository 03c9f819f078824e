"""Pictures that pages show, by addresses of their own: what is drawn anew names them, and browsers keep them."""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from nicegui import app
from starlette.responses import PlainTextResponse, Response

MAX_BYTES: Final = 24 << 20


class Pictures:
    """The newest that were shown, within `max_bytes`. Used on the event loop only."""

    def __init__(self, path: str, max_bytes: int = MAX_BYTES) -> None:
        """`path` is where they are served, as `/learning/pictures`."""
        self._path, self._max_bytes = path, max_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def put(self, png: bytes) -> str:
        """Keeps a picture, and gives its address; empty for none."""
        if not png:
            return ""
        name = sha256(png).hexdigest()[:32]
        if name not in self._kept:
            self._kept[name] = png
            self._bytes += len(png)
        self._kept.move_to_end(name)
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return f"{self._path}/{name}"

    def get(self, name: str) -> bytes | None:
        """A picture by the last part of its address; None for one that is not kept any more."""
        return self._kept.get(name)

    def has(self, address: str) -> bool:
        """Whether what `put` gave this address for is kept still; so is what never was."""
        return not address or address.removeprefix(f"{self._path}/") in self._kept

    def serve(self) -> None:
        """Registers their addresses."""

        @app.get(f"{self._path}/{{name}}")
        async def picture(name: str) -> Response:
            found = self.get(name)
            if found is None:
                return PlainTextResponse("this picture is not kept any more", 404)
            return Response(
                found, media_type="image/png", headers={"cache-control": "private, max-age=3600, immutable"}
            )
