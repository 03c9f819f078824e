"""Where a process works on jobs."""

from dataclasses import replace

from upriver_control.jobs import Work
from upriver_control.working.folders import Folders


def test_a_job_that_a_process_begins_anew_has_another_folder_than_what_it_may_not_have_ended_yet(tmp_path) -> None:
    folders = Folders(tmp_path)
    first = Work("j", "m", 1.0, attempt=1)
    again = replace(first, attempt=2)
    for one in (first, again):
        folders.of(one).mkdir(parents=True)
    folders.clear(first)
    assert (folders.of(first).exists(), folders.of(again).exists()) == (False, True)
    assert folders.of(replace(again, doing="preparing", until=9.0)) == folders.of(again)
