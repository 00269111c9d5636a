"""The run folder: whole artefacts, append-only records, resume after any kill."""

import multiprocessing

import pytest

from dreamgen_bench.store import RecordFile, digest, read_json, sharded, whole_file, write_json
from dreamgen_bench.types import UserError, VideoRecord


def record(key, status="ok"):
    return VideoRecord(key=key, suite="s", suite_digest="d", task="t", model="m", revision="1", seed=0, status=status)


def test_the_last_line_of_a_key_wins(tmp_path):
    """A repeated attempt replaces the first without rewriting the file."""
    file = RecordFile(tmp_path / "videos.jsonl", VideoRecord)
    file.append(record("a", "no_video"))
    file.append(record("b"))
    file.append(record("a"))
    found = file.read()
    assert list(found) == ["a", "b"] and found["a"].status == "ok"


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_line_that_a_kill_cut_off_is_forgotten_and_the_next_is_whole(tmp_path, cut):
    """Half a line is work not done; what is appended after it must not be glued to it."""
    file = RecordFile(tmp_path / "videos.jsonl", VideoRecord)
    file.append(record("a"))
    file.append(record("b"))
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-cut])
    assert list(file.read()) == ["a"]
    file.append(record("c"))
    assert list(file.read()) == ["a", "c"]


def test_an_unknown_key_in_a_record_is_refused_with_file_and_line(tmp_path):
    """A record of another schema is not half understood."""
    path = tmp_path / "videos.jsonl"
    RecordFile(path, VideoRecord).append(record("a"))
    path.write_text(path.read_text().replace('"seed":0', '"seed":0,"sed":1'))
    with pytest.raises(UserError, match=r"videos.jsonl:1: sed"):
        RecordFile(path, VideoRecord).read()


def append_many(path, name):
    file = RecordFile(path, VideoRecord)
    for number in range(200):
        file.append(record(f"{name}-{number}"))


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    """Workers share one file."""
    path = tmp_path / "videos.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_many, args=(path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(RecordFile(path, VideoRecord).read()) == 400


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    """A writer that fails leaves neither the file nor its temporary."""
    with pytest.raises(RuntimeError), whole_file(tmp_path / "x.json") as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_json_of_a_run_folder_is_refused_in_words(tmp_path):
    """A missing or broken file names itself."""
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "scores.json")
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        read_json(tmp_path / "scores.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "nan.json", float("nan"))


def test_shards_share_out_every_row_once():
    """Whatever the number of shards, each row belongs to exactly one."""
    rows = list(range(10))
    assert sorted(sum((sharded(rows, (i, 3)) for i in (1, 2, 3)), [])) == rows


def test_a_digest_depends_on_content_and_not_on_key_order():
    """The same arguments written in another order are the same."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
