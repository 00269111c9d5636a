"""The health check passes an IDM that knows the robot, and fails it as soon as it is broken on purpose."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dreamgen_bench import codebook, health, registry
from dreamgen_bench.health import Episode
from dreamgen_bench.types import LABELS, Spec, UserError, Video

SHIPPED = [spec for spec in registry.specs("idms").values() if not spec.latent]
LATENT = [spec for spec in registry.specs("idms").values() if spec.latent]
SPEC = Spec(name="toy", revision="1", load="", license="")


def wandering(seed: int, group: str, *, length: int = 17) -> Episode:
    """A square that goes about a dark picture: its place is the hand, its red the height, its green the grip."""
    rng = np.random.default_rng(seed)
    ends = rng.uniform([-0.4, 0.4, 0.05], [0.4, 0.9, 0.4], (3, 3))
    path = np.stack([np.interp(np.linspace(0, 2, length), range(3), column) for column in ends.T], 1)
    grip = np.where(np.arange(length - 1) < rng.integers(4, 12), -1.0, 1.0)
    frames = np.zeros((length, 64, 64, 3), np.uint8)
    for frame, (x, y, z), closed in zip(frames, path, [grip[0], *grip], strict=True):
        row, column = int((y - 0.3) * 80), int((x + 0.5) * 56)
        frame[row : row + 6, column : column + 6] = [int(z * 500), 255 if closed > 0 else 100, 50]
    opening, motion = (1 - grip[:, None]) / 2, np.diff(path, axis=0) * 10
    labels = np.concatenate([path[1:], opening, motion, grip[:, None]], 1).astype(np.float32)
    return Episode(group=group, behavior="b", scene="", seed=seed, look="lab", frames=frames, labels=labels)


class Reader:
    """Reads the square off the pictures."""

    def label(self, videos):
        for video in videos:
            path, grip = zip(*(self._read(frame) for frame in video.frames), strict=True)
            path, grip = np.array(path), np.array(grip[1:])[:, None]
            labels = [path[1:], (1 - grip) / 2, np.diff(path, axis=0) * video.fps, grip]
            yield np.concatenate(labels, 1).astype(np.float32)

    @staticmethod
    def _read(frame):
        bright = frame[..., 1] > 60
        if not bright.any():
            return (0.0, 0.6, 0.2), -1.0
        rows, columns = np.nonzero(bright)
        z, green = frame[rows, columns, 0].mean() / 500, frame[rows, columns, 1].mean()
        return (columns.min() / 56 - 0.5, rows.min() / 80 + 0.3, z), 1.0 if green > 180 else -1.0


class OnOtherFrames:
    """An IDM that is shown other frames than it is asked about."""

    def __init__(self, inner, chosen):
        self._inner, self._chosen = inner, chosen

    def label(self, videos):
        for video in videos:
            frames = video.frames[self._chosen(len(video.frames))]
            yield next(iter(self._inner.label([Video(frames=frames, fps=video.fps)])))


class Scaled:
    """An IDM whose labels are drawn together to their own middle; at 0 they are constant."""

    def __init__(self, inner, scale):
        self._inner, self._scale = inner, scale

    def label(self, videos):
        labels = list(self._inner.label(videos))
        middle = np.concatenate(labels).mean(0)
        yield from ((middle + self._scale * (one - middle)).astype(np.float32) for one in labels)


def shuffled(count: int) -> np.ndarray:
    """Frames in the order in which threads got ready."""
    return np.random.default_rng(count).permutation(count)


BROKEN = {
    "frames shuffled": lambda idm: OnOtherFrames(idm, shuffled),
    "frames reversed": lambda idm: OnOtherFrames(idm, lambda count: np.arange(count)[::-1]),
    "gap too wide": lambda idm: OnOtherFrames(idm, lambda count: np.minimum(2 * np.arange(count), count - 1)),
    "gap too narrow": lambda idm: OnOtherFrames(idm, lambda count: np.arange(count) // 2),
    "three frames late": lambda idm: OnOtherFrames(idm, lambda count: np.maximum(np.arange(count) - 3, 0)),
    "constant": lambda idm: Scaled(idm, 0.0),
    "far too small": lambda idm: Scaled(idm, 0.1),
    "far too large": lambda idm: Scaled(idm, 3.0),
}


def close(episode: Episode, labels: np.ndarray) -> bool:
    """A stand-in for the simulator: the waypoints are followed closely enough."""
    return float(np.linalg.norm(labels[:, :3] - episode.labels[:, :3], axis=1).mean()) < 0.05


@pytest.fixture(scope="module")
def toys():
    return [wandering(seed, group) for seed in range(6) for group in ("taught", "unseen", "room")]


def test_an_idm_that_reads_the_hand_passes(toys):
    """Every figure is within its mark, and the report is plain JSON."""
    report = health.run(SPEC, Reader(), toys, generated=[toys[0].video], follow=close)
    assert report["gate"] == "passed" and report["failures"] == []
    assert {mark["figure"] for mark in report["marks"]} <= set(report["figures"])
    assert [row["column"] for row in report["columns"]] == list(LABELS)
    assert report["strangeness"]["generated"] == 1
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("how", BROKEN)
def test_an_idm_that_is_broken_on_purpose_fails(toys, how):
    """Also without any replay: the labels alone give it away."""
    report = health.run(SPEC, BROKEN[how](Reader()), toys, follow=lambda episode, labels: True)
    assert report["gate"] == "failed", how


@pytest.mark.parametrize(
    ("how", "figure"),
    [
        ("frames shuffled", "order"),
        ("three frames late", "lag"),
        ("constant", "least_spread"),
        ("far too small", "least_spread"),
        ("far too large", "most_spread"),
    ],
)
def test_the_failure_names_what_is_broken(toys, how, figure):
    """So that a user knows where to look."""
    report = health.run(SPEC, BROKEN[how](Reader()), toys, follow=close)
    assert any(failure.startswith(figure) for failure in report["failures"]), report["failures"]


def test_own_step_and_lag_are_what_they_say():
    """1 for a path that is told right, up to an offset; .5 for one that tells nothing; the lag is in steps."""
    way = np.stack([np.linspace(0, 1, 16), np.zeros(16), np.zeros(16)], 1)
    assert health.own_step(way + 0.3, way) == 1
    assert health.own_step(np.zeros_like(way), way) == 0.5
    turning = np.stack([np.sin(np.arange(30) / 4), np.cos(np.arange(30) / 3), np.zeros(30)], 1)
    for lag in (-3, 0, 2):
        assert health.best_lag([turning[5 + lag : 21 + lag]], [turning[5:21]]) == lag


def test_error_is_measured_against_the_best_constant():
    """1 for the median of the data, whatever the column's unit."""
    true = np.random.default_rng(0).normal(size=(100, 3)) * [1, 10, 1000]
    said = np.repeat(np.median(true, 0)[None], 100, 0)
    np.testing.assert_allclose(health.relative_error(said, true), 1)
    np.testing.assert_allclose(health.relative_error(true, true), 0)


def test_strangeness_grows_with_what_is_changed(toys):
    """Pictures of another kind are stranger than held-out ones of the same."""
    score = health.likeness(toys[::3])
    assert score(toys[1].frames) < score(health.grained(toys[1].frames))
    assert score(toys[1].frames) < score(255 - toys[1].frames)


def test_too_few_episodes_are_refused():
    """Before anything is simulated."""
    with pytest.raises(UserError, match="4 or more"):
        health.episodes(3)


# Codebooks


def codes(*shares: float) -> np.ndarray:
    return np.repeat(np.arange(len(shares)), [int(1000 * share) for share in shares])


def test_a_codebook_in_even_use_has_all_its_entropy():
    """And no dead code."""
    figures = codebook.of_codes(codes(*[0.125] * 8), 8)
    assert figures["entropy"].value == pytest.approx(1) and figures["dead_codes"].value == 0
    assert figures["codes_used"].value == 1


def test_a_collapsed_codebook_has_none():
    """One code answers everything; seven of eight are dead."""
    figures = codebook.of_codes(np.zeros(500, int), 8)
    assert figures["entropy"].value == 0 and figures["dead_codes"].value == 7
    assert all(need.failed(figures[need.figure]) for need in codebook.GATE if need.figure in figures)


def test_the_probe_reads_what_is_there_and_nothing_else():
    """R2 near 1 where labels hold the motion, about 0 where they are noise, undefined where they never change."""
    rng = np.random.default_rng(0)
    motion = [rng.normal(size=(16, 3)) for _ in range(12)]
    told = [np.concatenate([2 - m, rng.normal(size=(16, 5))], 1) for m in motion]
    assert codebook.probe(told, motion).value > 0.95
    assert codebook.probe([rng.normal(size=(16, 8)) for _ in motion], motion).value < 0.15
    assert codebook.probe([np.zeros((16, 8)) for _ in motion], motion).value is None


def test_foresight_is_measured_against_holding_the_frame():
    """0 for the later picture itself, 1 for the earlier one, undefined where nothing moves."""
    earlier, later = np.random.default_rng(0).normal(size=(2, 5, 3, 8, 8))
    assert codebook.foresight([(earlier, later, later)]).value == 0
    assert codebook.foresight([(earlier, later, earlier)]).value == 1
    assert codebook.foresight([(earlier, earlier, later)]).value is None


def test_a_latent_model_without_a_codebook_does_not_pass(toys):
    """Undefined is not good enough, and says what is missing."""
    report = health.run(replace(SPEC, latent=True), Reader(), toys)
    assert report["gate"] == "failed" and any("used(video)" in failure for failure in report["failures"])


# The shipped ones, in the simulator


@pytest.fixture(scope="module")
def proven():
    return health.episodes(8)


@pytest.mark.slow
@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_the_shipped_idms_pass_and_broken_ones_do_not(proven, spec):
    """True experts in the simulator; every way of breaking fails the same gate."""
    idm = registry.load(spec)
    report = health.run(spec, idm, proven)
    assert report["gate"] == "passed", report["failures"]
    for how, broken in BROKEN.items():
        assert health.run(spec, broken(idm), proven)["gate"] == "failed", how


@pytest.mark.slow
@pytest.mark.parametrize("spec", LATENT, ids=lambda spec: spec.name)
def test_the_shipped_latent_actions_pass_and_a_collapsed_codebook_does_not(proven, spec):
    """All codes in the same place answer everything with one; frames out of order and random weights fail as well."""
    import torch

    from dreamgen_bench.idms import lapa

    model = registry.load(spec)
    report = health.run(spec, model, proven)
    assert report["gate"] == "passed", report["failures"]
    mixed = health.run(spec, OnOtherFrames(model, shuffled), proven)
    assert any(failure.startswith("probe") for failure in mixed["failures"])
    net = lapa.network(lapa.SMALL)
    untrained = health.run(spec, lapa.LatentActionModel(net, lapa.SMALL), proven)
    assert any(failure.startswith("foreseen") for failure in untrained["failures"])
    with torch.no_grad():
        model._net.codebook[:] = model._net.codebook.mean(0)
    collapsed = health.run(spec, model, proven)
    assert collapsed["gate"] == "failed" and any("entropy" in failure for failure in collapsed["failures"])
