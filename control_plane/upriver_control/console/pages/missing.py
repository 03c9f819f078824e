"""What is shown where there is no page, and where one can't be drawn."""

from fastapi import Request
from fastapi.exception_handlers import http_exception_handler
from nicegui import Client, app, ui
from starlette.exceptions import HTTPException
from starlette.responses import Response

from upriver.errors import UpriverError
from upriver_control.console import words
from upriver_control.console.drawing.svg import join, tag
from upriver_control.console.site import Site


def add(site: Site) -> None:
    """Takes the place of NiceGUI's own pages."""

    @app.on_page_exception
    def failed(error: Exception) -> None:
        known = isinstance(error, UpriverError)
        told = str(error) if known else "A fault of the console, which the control plane's log tells."
        with site.frame("This page can't be shown", "") as frame:
            frame.part(words.problem(told, "Try again." if known else ""))

    @app.exception_handler(404)
    async def missing(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith("/_nicegui"):
            return await http_exception_handler(request, error)
        with Client(ui.page(""), request=request) as client, site.frame("No such page", "") as frame:
            where = tag("p", None, tag("a", {"href": "/questions"}, "All questions"))
            frame.part(join(words.nothing(f"There is no page {request.url.path}."), where))
        return client.build_response(request, 404)
