"""The programs in docs/client.md, each run as it is against real agents."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.agent_process import REPOSITORY, running, write_config
from tests.certificates import make_certificates

BLOCKS = re.findall(
    r"^```(python|sh)\n(.*?)^```$", (REPOSITORY / "docs/client.md").read_text(), re.DOTALL | re.MULTILINE
)
PROGRAMS = [block for language, block in BLOCKS if language == "python"]
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("document")
    seven = np.zeros((28, 28), np.uint8)
    seven[6:9, 7:21] = 255
    for row in range(9, 23):
        column = 20 - (row - 9) // 2
        seven[row, column - 2 : column + 1] = 255
    Image.fromarray(seven).save(made / "seven.png")
    make_certificates(made, ("agent", "caller"))
    return made


@pytest.fixture(scope="module")
def addresses(folder):
    model = REPOSITORY / "demo/models/device"
    tls = f'[tls]\ncertificate = "{folder}/agent.pem"\nkey = "{folder}/agent.key"\nclient_ca = "{folder}/ca.pem"\n'
    plain = write_config(folder, "plain", "device", ["device"], [model])
    secured = write_config(folder, "secured", "device", ["device"], [model], tls)
    with running(plain, "plain") as one, running(secured, "secured") as two:
        yield {"127.0.0.1:8470": one.address, "edge.example:8470": two.address}


def test_there_are_programs():
    assert len(PROGRAMS) >= 8
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("program", PROGRAMS, ids=[str(number) for number in range(len(PROGRAMS))])
def test_a_program_runs_as_it_is(program: str, folder: Path, addresses: dict[str, str]):
    for told, real in addresses.items():
        program = program.replace(told, real)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if "print(" in program:
        assert done.stdout.strip()
    assert "nobody answered" not in done.stdout
    assert "wrong question" not in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_it_is(command: str, folder: Path, addresses: dict[str, str]):
    for told, real in addresses.items():
        command = command.replace(told, real)
    name, *arguments = shlex.split(command)
    done = subprocess.run(
        [str(Path(sys.executable).parent / name), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
