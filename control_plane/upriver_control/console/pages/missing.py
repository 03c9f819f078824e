"""What is shown where there is no page."""

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from nicegui import Client, app, ui
from starlette.exceptions import HTTPException
from starlette.responses import Response

from upriver_control.console import words
from upriver_control.console.drawing.svg import join, tag
from upriver_control.console.site import Site


def add(site: Site) -> None:
    """Takes the place of NiceGUI's own page."""

    @app.exception_handler(404)
    async def missing(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith("/_nicegui"):
            return await http_exception_handler(request, error)
        with Client(ui.page(""), request=request) as client, site.frame("No such page", "") as frame:
            where = tag("p", None, tag("a", {"href": "/questions"}, "All questions"))
            frame.part(join(words.nothing(f"There is no page {request.url.path}."), where))
        return client.build_response(request, 404)
