"""The console beside a real control plane: who is let in, and what is left behind."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.control_plane_process import ControlPlaneProcess, control_plane

ROOT = Path(__file__).resolve().parents[3]
_UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
_SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlaneProcess]:
    with control_plane(tmp_path_factory.mktemp("console"), '[console]\nlisten = "127.0.0.1:0"\n') as process:
        yield process


@pytest.fixture
def caller(plane: ControlPlaneProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=plane.console, timeout=60) as client:
        yield client


def log_in(caller: httpx.Client, plane: ControlPlaneProcess, target: str = "/about") -> httpx.Response:
    return caller.post("/login", data={"token": plane.token, "next": target})


def test_who_has_not_logged_in_is_sent_to_the_login_and_from_there_where_they_wanted_to(plane, caller) -> None:
    sent = caller.get("/questions?model=digits&tier=device")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/login?next=/questions%3Fmodel%3Ddigits%26tier%3Ddevice"
    page = caller.get(sent.headers["location"])
    assert "The operator&#x27;s token" in page.text
    assert log_in(caller, plane, "/questions?model=digits").headers["location"] == "/questions?model=digits"


def test_the_login_gives_a_cookie_that_scripts_and_other_sites_do_not_get(plane, caller) -> None:
    cookie = log_in(caller, plane).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert plane.token not in cookie
    assert caller.get("/about").status_code == 200


def test_a_link_with_the_token_logs_in(plane, caller) -> None:
    answer = caller.get(f"/login?token={plane.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("token", ["wrong", "", "wröng"])
def test_another_token_is_refused(plane, caller, token: str) -> None:
    answer = caller.post("/login", data={"token": token})
    assert answer.status_code == (403 if token else 200)
    assert "set-cookie" not in answer.headers
    assert caller.get("/about").status_code == 303


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "x"])
def test_the_login_leads_nowhere_but_to_the_console(plane, caller, target: str) -> None:
    assert log_in(caller, plane, target).headers["location"] == "/"


def test_pages_of_other_sites_are_refused_with_the_cookie_too(plane, caller) -> None:
    log_in(caller, plane)
    foreign = {"Origin": "https://elsewhere.example"}
    assert caller.get("/about", headers=foreign).status_code == 403
    assert caller.post("/login", data={"token": plane.token}, headers=foreign).status_code == 403
    assert caller.get(_SOCKET, headers=_UPGRADE | foreign).status_code == 403
    own = {"Origin": str(caller.base_url).rstrip("/")}
    assert caller.get("/about", headers=own).status_code == 200


def test_the_live_connection_wants_the_cookie(plane, caller) -> None:
    assert caller.get(_SOCKET, headers=_UPGRADE).status_code == 403
    log_in(caller, plane)
    with caller.stream("GET", _SOCKET, headers=_UPGRADE) as answer:
        assert answer.status_code == 101


def test_who_logs_out_has_to_log_in_again(plane, caller) -> None:
    log_in(caller, plane)
    left = dict(caller.cookies)
    caller.post("/logout")
    assert caller.get("/about").status_code == 303
    assert caller.get("/about", headers={"Cookie": "; ".join(map("=".join, left.items()))}).status_code == 303
    log_in(caller, plane)  # at once, which is another login
    assert caller.get("/about").status_code == 200


def test_a_page_may_load_from_the_console_alone(plane, caller) -> None:
    log_in(caller, plane)
    page = caller.get("/about")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    named = page.text.replace("http://www.w3.org/", "").replace("https://github.com/zauberzeug", "")
    assert 'src="http' not in named
    assert 'href="http' not in named


def test_the_console_leaves_no_folder_and_little_in_memory(plane, caller) -> None:
    log_in(caller, plane)
    assert caller.get("/about").status_code == 200
    assert not (ROOT / ".nicegui").exists()
    assert not (Path.cwd() / ".nicegui").exists()
    status = Path(f"/proc/{plane.process.pid}/status").read_text()
    resident_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident_kib < 220 << 10
