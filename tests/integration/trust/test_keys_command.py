"""The operator's commands for keys, on a repository in a folder."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from tests.control_plane_trust import DAY, NAME, ControlPlane, agent
from upriver.errors import InvalidInput, NotNow, Untrusted
from upriver_control.cli.keys import app
from upriver_control.trust.repository import TrustOptions


@pytest.fixture
def control(tmp_path):
    return ControlPlane(tmp_path / "control")


@pytest.fixture
def run(control, tmp_path):
    config = tmp_path / "control.toml"
    config.write_text(f'[state]\nfolder = "{control.folder}"\n')
    runner = CliRunner()

    def run(*arguments: str) -> tuple[int, str]:
        result = runner.invoke(app, [*arguments, "--config", str(config)])
        return result.exit_code, result.output

    return run


def shown(run) -> dict:
    code, text = run("show", "--json")
    assert code == 0, text
    return json.loads(text)


def test_show_tells_what_agents_pin_and_which_keys_are_here(control, run) -> None:
    facts = shown(run)
    assert facts["fingerprint"] == control.fingerprint
    assert [key["here"] for key in facts["root_keys"]] == [True]
    assert set(facts["online_keys"]) == {"targets", "bins", "snapshot", "timestamp"}
    assert control.fingerprint in run("show")[1]


def test_a_root_key_goes_offline_and_comes_back_to_rotate(control, run, tmp_path) -> None:
    usb = tmp_path / "usb"
    assert run("export-root", str(usb), "--remove")[0] == 0
    (copy,) = usb.iterdir()
    assert oct(copy.stat().st_mode & 0o777) == "0o600"
    assert [key["here"] for key in shown(run)["root_keys"]] == [False]
    digest = control.publish("v1")
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    code, text = run("rotate-root", "--add", "1")
    assert (code, "must sign" in text) == (1, True)
    code, text = run("export-root", str(usb))
    assert (code, "offline already" in text) == (1, True), "the key that did not come into force is gone"
    old = shown(run)["root_keys"][0]["id"]
    assert run("rotate-root", "--add", "1", "--remove", old, "--root-keys", str(usb))[0] == 0
    assert old not in [key["id"] for key in shown(run)["root_keys"]]
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    agent(control, tmp_path / "newcomer").version(NAME.format("v1"), digest)


def test_a_change_that_makes_no_sense_is_refused(control, run) -> None:
    before = shown(run)
    assert run("rotate-root", "--threshold", "5")[0] == 1
    assert run("rotate-root", "--remove", "0" * 64)[0] == 1
    assert run("rotate-root", "--root-keys", "/nonexistent")[0] == 2
    assert shown(run) == before
    with pytest.raises(InvalidInput, match="no online key"):
        control.repository.rotate_online("root")


@pytest.mark.parametrize("role", ["targets", "bins", "snapshot", "timestamp"])
def test_an_online_key_is_replaced_and_agents_follow(control, run, tmp_path, role) -> None:
    first = control.publish("v1")
    agent(control, tmp_path / "agent").version(NAME.format("v1"), first)
    before = shown(run)["online_keys"]
    stolen = (control.folder / f"keys/{role}.pem").read_bytes()
    assert run("rotate-root", "--online", role)[0] == 0
    after = shown(run)["online_keys"]
    assert {name for name in before if before[name] != after[name]} == {role}
    assert (control.folder / f"keys/{role}.pem").read_bytes() != stolen
    second = control.publish("v2")
    for folder in ("agent", "newcomer"):
        agent(control, tmp_path / folder).version(NAME.format("v1"), first)
        agent(control, tmp_path / folder).version(NAME.format("v2"), second)


def test_an_online_key_is_not_replaced_without_enough_root_keys_and_publishing_goes_on(control, run, tmp_path) -> None:
    run("export-root", str(tmp_path / "usb"), "--remove")
    with pytest.raises(NotNow):
        control.repository.rotate_online("timestamp")
    digest = control.publish("v1")
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    assert run("rotate-root", "--online", "timestamp", "--root-keys", str(tmp_path / "usb"))[0] == 0
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)


def test_agents_go_on_from_a_restored_backup_after_new_keys(control, run, tmp_path) -> None:
    digest = control.publish("v1")
    backup = control.snapshot()
    for number in range(3):
        control.publish(f"lost-{number}")
    trust = agent(control, tmp_path / "agent")
    trust.version(NAME.format("v1"), digest)
    shutil.rmtree(control.metadata)
    shutil.copytree(backup, control.metadata)
    with pytest.raises(Untrusted, match="rolled back"):
        trust.version(NAME.format("v1"), digest)
    assert run("rotate-root", "--online", "timestamp", "--online", "snapshot")[0] == 0
    trust.version(NAME.format("v1"), digest)
    trust.version(NAME.format("v2"), control.publish("v2"))


def test_root_keys_of_two_holders_are_brought_together(tmp_path) -> None:
    control = ControlPlane(tmp_path / "control", TrustOptions(roots=2, threshold=2))
    for number, path in enumerate(sorted((control.folder / "keys").glob("root-*.pem"))):
        (tmp_path / f"holder-{number}").mkdir()
        path.rename(tmp_path / f"holder-{number}" / path.name)
    (tmp_path / "control.toml").write_text(f'[state]\nfolder = "{control.folder}"\n')

    def rotate(*holders: str) -> int:
        brought = [argument for holder in holders for argument in ("--root-keys", str(tmp_path / holder))]
        return CliRunner().invoke(app, ["rotate-root", "--config", str(tmp_path / "control.toml"), *brought]).exit_code

    assert rotate("holder-0") == 1
    assert rotate("holder-0", "holder-1") == 0
    agent(control, tmp_path / "agent").version(NAME.format("v1"), control.publish("v1"))


def test_a_root_is_signed_anew_in_time_where_its_keys_are_and_else_expires(control, tmp_path) -> None:
    digest = control.publish("v1")
    control.now += 200 * DAY
    assert control.repository.refresh()
    assert control.repository.facts().version == 2
    control.keys.remove_roots()
    control.now += 364 * DAY
    control.repository.refresh()
    assert control.repository.facts().version == 2
    agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
    control.now += 2 * DAY
    control.repository.refresh()
    with pytest.raises(Untrusted, match=r"root\.json is expired"):
        agent(control, tmp_path / "agent").version(NAME.format("v1"), digest)
