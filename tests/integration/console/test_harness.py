"""What the tests of pages rely on: that a page which does something wrong does not pass."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from demo.browser import PHONE, Faults, open_page
from tests.browser import barriers, overflow, page_of

GOOD = '<html lang="en"><head><title>fine</title></head><body><main><h1>fine</h1></main></body></html>'
BAD = """<html><head><title>bad</title><link rel="icon" href="data:,"></head><body><button></button>
<p style="width: 500px">wide</p><script>
console.error("an error of ours");
fetch("http://example.com/data").catch(() => 0);
new WebSocket("ws://example.com/socket");
setTimeout(() => { throw Error("thrown") }, 0);
</script></body></html>"""


class Handler(BaseHTTPRequestHandler):
    """Serves /good and /bad."""

    def do_GET(self) -> None:
        body = {"/good": GOOD, "/bad": BAD}.get(self.path, "").encode()
        self.send_response(200 if body else 204)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(30)
    server.server_close()


def look_at(browser: Browser, url: str) -> None:
    with page_of(browser) as (page, _):
        page.goto(url)
        page.wait_for_function("() => performance.now() > 500")


def test_a_page_without_faults_passes(browser: Browser, site: str) -> None:
    with page_of(browser) as (page, _):
        page.goto(f"{site}/good")
        assert barriers(page) == []
        assert overflow(page) == 0


def test_errors_exceptions_and_whatever_would_leave_this_machine_are_faults(browser: Browser, site: str) -> None:
    faults = Faults()
    with open_page(browser, faults, viewport=PHONE) as page:
        page.goto(f"{site}/bad")
        page.wait_for_function("() => performance.now() > 500")
        found = barriers(page)
        assert overflow(page) > 0
    told = "\n".join(faults.seen)
    for what in ("an error of ours", "http://example.com/data", "ws://example.com/socket", "thrown"):
        assert what in told
    assert {line.split()[0] for line in found} >= {"button-name", "html-has-lang"}
    with pytest.raises(AssertionError, match="thrown"):
        look_at(browser, f"{site}/bad")


def test_what_is_excused_is_no_fault_while_it_is() -> None:
    faults = Faults()
    with faults.excuse("refused$"):
        faults.note("connection refused")
        faults.note("connection reset")
    faults.note("connection refused")
    assert faults.seen == ["connection reset", "connection refused"]
