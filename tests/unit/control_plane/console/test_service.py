"""The console as the control plane has it."""

import sys

import pytest

from upriver.errors import RuntimeMissing
from upriver_control.console.service import ConsoleService
from upriver_control.console.settings import Settings


def test_without_its_extra_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    with pytest.raises(RuntimeMissing, match=r"pip install 'upriver\[console\]'"):
        ConsoleService(Settings("127.0.0.1:0", "", "1"))
