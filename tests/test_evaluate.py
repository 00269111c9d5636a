"""Episodes: the same starts for every policy, one crash costs one episode, and stopping early that stays honest."""

import gymnasium
import numpy as np
import pytest

from dreamgen_bench import downstream, evaluate, registry, scores, stats, suites
from dreamgen_bench.record import EpisodeRow
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import EpisodeRecord, UserError

SUITE = suites.load("metaworld-policy-v1")
SPEC = registry.find("policies", "random")


class Line(gymnasium.Env):
    """A number that actions move; it succeeds at 1, and its start is its seed's."""

    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.seed, self.at = seed, 0.0
        return self.see(), {}

    def see(self):
        return {"image": np.zeros((64, 64, 3), np.uint8), "state": np.array([self.seed, 0, 0, 0], np.float32)}

    def step(self, action):
        self.at = max(self.at, float(action[0]))
        return self.see(), 0.0, False, False, {"success": self.at >= 1, "progress": min(1, self.at)}


class Scripted:
    """Answers what a function of the episode's number says."""

    def __init__(self, answer):
        self._answer, self.episodes = answer, 0

    def reset(self):
        self.episodes += 1

    def act(self, observation):
        found = self._answer(self.episodes)
        if isinstance(found, Exception):
            raise found
        return found


def reach(far):
    return np.full((2, 4), far, np.float32)


def make(behavior, *, scene, render):
    return Line()


def tried(out, answer, *, per=10, key="k", name="m", stop=None):
    where = evaluate.starts(SUITE, per)
    made = lambda: Scripted(answer)  # noqa: E731
    summary = evaluate.run(name, (SPEC, key, made), where, make, out=out, stop=stop)
    return summary, list(RecordFile(out / "episodes.jsonl", EpisodeRecord).read().values())


def test_every_policy_has_the_same_starts_and_its_seeds_are_stored(tmp_path):
    """Two models can be compared in pairs, and each episode can be run again."""
    _, first = tried(tmp_path / "a", lambda n: reach(1), name="a", key="a")
    _, second = tried(tmp_path / "b", lambda n: reach(0), name="b", key="b")
    pairs = [[(e.task, e.behavior, e.seed) for e in episodes] for episodes in (first, second)]
    assert pairs[0] == pairs[1] and len(set(pairs[0])) == 60
    assert {e.key for e in first}.isdisjoint(e.key for e in second)
    difference = stats.paired_difference(
        *[[float(e.success) for e in x] for x in (first, second)], tasks=[e.task for e in first]
    )
    assert difference.mean == 1.0


def test_a_policy_sees_what_it_would_see_if_every_frame_was_drawn_and_the_next_episode_begins_with_a_picture(tmp_path):
    start, chunk = evaluate.starts(SUITE, 1)[0], np.tile(np.float32([0.1, 0.6, 0.2, 0.5]), (3, 1))
    seen: list[np.ndarray] = []
    policy = Scripted(lambda episode: chunk)
    act = policy.act
    policy.act = lambda observation: (seen.append(observation["image"]), act(observation))[1]
    envs = evaluate._Envs(downstream.make_env, render=True)
    evaluate._episode(policy, envs, start)
    evaluate._episode(policy, envs, start)
    env = envs.reset(start.behavior, start.scene, start.seed, start.look)
    drawn = [envs.observation["image"]] + [env.step(chunk[0])[0]["image"] for _ in range(evaluate.HORIZON)]
    looks = drawn[: evaluate.HORIZON : len(chunk)]
    assert len(seen) == 2 * len(looks)
    assert all(np.array_equal(a, b) for a, b in zip(seen, [*looks, *looks], strict=True))
    env.watched = False
    assert not env.step(chunk[0])[0]["image"].any()
    assert env.reset(seed=start.seed, options={"look": start.look})[0]["image"].any()
    envs.close()


def test_a_crash_in_one_episode_of_a_hundred_costs_one_episode_and_is_counted(tmp_path):
    """The others run, the rate has it as a failure, and the record says what happened."""
    crash = lambda n: ZeroDivisionError("boom") if n == 42 else reach(1)  # noqa: E731
    summary, episodes = tried(tmp_path, crash, per=20)
    assert (summary.planned, summary.done, summary.failed["crashed"]) == (120, 119, 1)
    lost = [e for e in episodes if e.success is None]
    assert len(lost) == 1 and lost[0].reason == "ZeroDivisionError: boom"
    row = scores.success(episodes, {})[0]
    assert row["crashed"] == 1 and row["episodes"] == 120 and row["mean"] == pytest.approx(119 / 120, abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.full((2, 4), np.nan, np.float32), "not finite"),
        (np.zeros((2, 3), np.float32), r"\[2, 3\]"),
        (np.zeros(4, np.float32), r"\[4\]"),
        (np.zeros((0, 4), np.float32), r"\[0, 4\]"),
        (np.array([["a", "b", "c", "d"]]), "instead of floats"),
        (None, "instead of floats"),
    ],
)
def test_nonsense_from_a_policy_is_its_crash(tmp_path, answer, says):
    """Not a simulator full of NaN, and not an episode without an end."""
    _, episodes = tried(tmp_path, lambda n: answer, per=1)
    assert len(episodes) == 6 and all(e.success is None for e in episodes)
    with pytest.raises(ValueError, match=says):
        evaluate._checked(answer, (4,))


def test_what_the_user_can_mend_stops_the_evaluation(tmp_path):
    """A server that is gone is nobody's failed episode."""
    with pytest.raises(UserError, match="gone"):
        tried(tmp_path, lambda n: UserError("gone"))
    assert not (tmp_path / "episodes.jsonl").exists()


def test_partial_credit_is_stored_and_averaged(tmp_path):
    """The furthest of each episode; a crash came nowhere; records of before have none, and their row none either."""
    _, episodes = tried(tmp_path, lambda n: (reach(1), reach(0.25), ZeroDivisionError())[n % 3], per=1)
    assert [e.progress for e in episodes] == [0.25, None, 1.0, 0.25, None, 1.0]
    assert scores.success(episodes, {})[0]["progress"] == pytest.approx(2.5 / 6, abs=1e-6)
    old = [e.model_copy(update={"progress": None}) for e in episodes]
    assert "progress" not in scores.success(old, {})[0]


def test_old_records_are_read(tmp_path):
    """A line as written before episodes had progress or a plan."""
    line = '{"schema":1,"key":"k","kind":"policy","suite":"s","model":"m","seed":1,"task":"t","behavior":"b",'
    line += '"policy":"p@1:k","idm":"","success":true,"reason":null,"seconds":0.1}\n'
    (tmp_path / "episodes.jsonl").write_text(line)
    record = RecordFile(tmp_path / "episodes.jsonl", EpisodeRecord).read()["k"]
    assert record.progress is None and record.planned is None
    row = scores.success([record], {})[0]
    assert not {"progress", "precision", "planned_episodes"} & set(row)
    assert row["interval"] == "Wilson over tasks"


def test_a_published_row_says_as_much_as_the_record_and_old_rows_are_read():
    """What an aggregate is made of is published with it; rows of before have no progress and no plan."""
    old = '{"task":"t","seed":1,"behavior":"b","policy":"p@1:k","success":true,"reason":null}'
    assert EpisodeRow.model_validate_json(old).progress is None
    new = EpisodeRow.model_validate_json(old[:-1] + ',"progress":0.5,"planned":300,"precision":0.05}')
    kept = {"key": "k", "kind": "policy", "suite": "s", "model": "m"}
    row = scores.success([EpisodeRecord(**kept, **new.model_dump())], {})[0]
    assert (row["progress"], row["planned_episodes"], row["precision"]) == (0.5, 300, 0.05)


STOP = evaluate.Stop(precision=0.1, interval=stats.anytime_interval)


def test_a_policy_is_tried_until_its_rate_is_known(tmp_path):
    """Whole rounds of behaviors, the plan in every record, and an interval that allows for the looking."""
    summary, episodes = tried(tmp_path, lambda n: reach(0), per=50, stop=STOP)
    assert summary.planned == summary.done == len(episodes) < 300 and len(episodes) % 6 == 0
    assert {(e.planned, e.precision) for e in episodes} == {(300, 0.1)}
    row = scores.success(episodes, {})[0]
    assert row["planned_episodes"] == 300 and row["episodes"] == len(episodes)
    assert "anytime" in row["interval"] and row["ci95"][0] == 0 and 0.15 < row["ci95"][1] <= 0.2


def test_stopping_goes_on_where_it_was(tmp_path):
    """Nothing is tried twice, and another precision adds the episodes that it needs."""
    _, first = tried(tmp_path, lambda n: reach(0), per=50, stop=STOP)
    again, same = tried(tmp_path, lambda n: reach(0), per=50, stop=STOP)
    assert again.done == 0 and again.skipped == again.planned == len(first) and same == first
    finer = evaluate.Stop(precision=0.06, interval=stats.anytime_interval)
    more, _ = tried(tmp_path, lambda n: reach(0), per=50, stop=finer)
    assert more.skipped == len(first) and more.done > 0


def test_a_hard_rate_uses_the_whole_plan(tmp_path):
    """Half and half is not known to 0.02 after 60 episodes, and the row says how wide it is."""
    stop = evaluate.Stop(precision=0.02, interval=stats.anytime_interval)
    _, episodes = tried(tmp_path, lambda n: reach(n % 2), stop=stop)
    row = scores.success(episodes, {})[0]
    assert len(episodes) == 60 and row["ci95"][1] - row["ci95"][0] > 0.2


def test_several_policies_share_the_error_among_their_intervals(tmp_path):
    """The mean over policies counts each policy once, however many episodes it was tried for."""
    tried(tmp_path, lambda n: reach(0), per=50, key="a", stop=STOP)
    _, episodes = tried(tmp_path, lambda n: reach(n % 2), per=50, key="b", stop=STOP)
    row = scores.success(episodes, {})[0]
    assert row["seeds"] == 2 and row["mean"] == pytest.approx(0.25, abs=0.01)
    one = scores.success([e for e in episodes if e.policy.endswith("a")], {})[0]["ci95"]
    two = scores.success([e for e in episodes if e.policy.endswith("b")], {})[0]["ci95"]
    assert row["ci95"][1] - row["ci95"][0] > (one[1] - one[0] + two[1] - two[0]) / 2


def test_flips_are_outcomes_that_changed(tmp_path):
    """None for the same policy twice; success to failure, and success to crash, are both one."""
    _, first = tried(tmp_path / "a", lambda n: reach(1), per=2)
    _, same = tried(tmp_path / "b", lambda n: reach(1), per=2)
    found = scores.flips(first, same)
    assert (found["flipped"], found["share"], found["episodes"]) == (0, 0.0, 12)
    assert found["ci95"][0] == 0 and found["ci95"][1] == pytest.approx(0.2425, abs=1e-3)  # Wilson, 0 of 12
    _, other = tried(tmp_path / "c", lambda n: (reach(1), reach(0), ZeroDivisionError())[min(n - 1, 2)], per=2)
    found = scores.flips(first, other[:-1])
    assert (found["flipped"], found["unmatched"], found["episodes"]) == (10, 1, 11) and len(found["changed"]) == 10
