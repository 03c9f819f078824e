"""The record of what was taken in: bounded, and worth nothing when it is damaged."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upriver_agent.trust.accepted import Accepted


def test_the_newest_are_remembered_across_starts(tmp_path) -> None:
    accepted = Accepted(tmp_path / "accepted.json")
    for number in range(600):
        accepted.add(f"versions/m/{number}", f"sha256:{number}")
    again = Accepted(tmp_path / "accepted.json")
    assert again.digest("versions/m/599") == "sha256:599"
    assert again.digest("versions/m/88") == "sha256:88"
    assert again.digest("versions/m/87") == ""
    again.remove("versions/m/599")
    assert accepted.digest("versions/m/599") == ""


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_a_damaged_record_vouches_for_nothing_and_is_written_anew(tmp_path, content) -> None:
    file = tmp_path / "accepted.json"
    file.write_bytes(content)
    accepted = Accepted(file)
    assert accepted.digest("versions/m/1") == ""
    accepted.add("versions/m/1", "sha256:1")
    assert accepted.digest("versions/m/1") == "sha256:1"
