"""Suites: strict loading, frozen digests, groups."""

import json

import pytest

from dreamgen_bench import suites
from dreamgen_bench.testing import toy_suite
from dreamgen_bench.types import UserError

DIGESTS = {
    "metaworld-behavior-v1": "08ca6c882d811a7d6974e7fc6b579870e6fa046bf266258bdef2e71dd6945e8f",
    "metaworld-environment-v1": "0a346d147bd57d83045089036baa9876e469b170b95df36481df2346093b0b40",
    "metaworld-object-v1": "265ef104618e040a099e5144ae11ac06439d5ad7ed21e5ccdbadd2c090f13caf",
    "metaworld-policy-v1": "0fdc6e72d2d2f4f55a2f504ddec05bbf9f6cab27b513b40ca3ceed47db5a5832",
    "metaworld-seen-v1": "dc259aa86be5df2f6cd63dd7be336f43f14686f29e48905f174a25d7ea97669f",
}


def edit(folder, change):
    rows = [json.loads(line) for line in (folder / "tasks.jsonl").read_text().splitlines()]
    change(rows)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def broken(tmp_path, change):
    toy_suite(tmp_path / "toy")
    edit(tmp_path / "toy", change)
    copy = tmp_path / "copy"
    (tmp_path / "toy").rename(copy)
    with pytest.raises(UserError) as caught:
        suites.load(str(copy))
    return str(caught.value)


def test_an_unknown_key_is_refused_with_file_line_and_key(tmp_path):
    """A typo in a row must not be read as an absent optional key."""
    message = broken(tmp_path, lambda rows: rows[2].update(instrution="x"))
    assert "tasks.jsonl:3" in message and "'instrution'" in message and "known:" in message


def test_a_duplicate_id_is_refused(tmp_path):
    """Two tasks of one id would overwrite each other's videos."""
    assert "tasks.jsonl:2: id 't0' is used twice" in broken(tmp_path, lambda rows: rows[1].update(id="t0"))


def test_a_missing_first_frame_is_refused(tmp_path):
    """A task without its picture can't be dreamed from."""
    message = broken(tmp_path, lambda rows: rows[0].update(first_frame="frames/none.png"))
    assert "tasks.jsonl:1" in message and "does not exist" in message


def test_a_path_out_of_the_folder_is_refused(tmp_path):
    """A suite from others must not read the user's files."""
    message = broken(tmp_path, lambda rows: rows[0].update(first_frame="../../etc/hostname"))
    assert "leads out" in message


def test_an_unknown_suite_names_the_nearest():
    """A typo in a suite's name is answered with what was meant."""
    with pytest.raises(UserError, match="Did you mean 'metaworld-seen-v1'"):
        suites.load("metaworld-sen-v1")


def test_a_limit_is_spread_over_the_suite(tmp_path):
    """The first tasks of a suite are all of one behavior; a limit must not keep only those."""
    suite = toy_suite(tmp_path / "toy", tasks=8)
    assert [task.id for task in suites.limited(suite, 4)] == ["t0", "t2", "t4", "t6"]
    with pytest.raises(UserError, match="nothing would be left"):
        suites.limited(suite, 0)


def test_published_suites_have_not_changed():
    """A published suite is never edited: its digest is quoted by every record."""
    assert {name: suites.load(name).digest for name in suites.names()} == DIGESTS


def test_the_behavior_suite_holds_what_it_promises():
    """24 or more behaviors, none pick-and-place; 12 or more groups of one first frame under several instructions."""
    suite = suites.load("metaworld-behavior-v1")
    behaviors = {task.behavior for task in suite.tasks}
    assert len(behaviors) >= 24 and not any("pick" in name and "place" in name for name in behaviors)
    groups: dict[str, list] = {}
    for task in suite.tasks:
        if task.group:
            groups.setdefault(task.group, []).append(task)
    assert len(groups) >= 12
    for members in groups.values():
        assert len({task.first_frame for task in members}) == 1 < len({task.instruction for task in members})


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_is_large_enough_to_tell_models_apart(name):
    """48 or more tasks, with instructions and simulator states."""
    suite = suites.load(name)
    assert len(suite.tasks) >= 48
    assert all(task.state and task.instruction and task.behavior for task in suite.tasks)
