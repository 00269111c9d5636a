"""Every registered IDM keeps the contract, and the shipped one knows the lab's robot."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from dreamgen_bench import registry
from dreamgen_bench.types import LABELS, WAYPOINT, UserError, Video

SPECS = list(registry.specs("idms").values())


@pytest.fixture(scope="module", params=SPECS, ids=lambda spec: spec.name)
def idm(request):
    return registry.load(request.param)


def noise(length: int, *, seed: int = 0, size: int = 64) -> Video:
    frames = np.random.default_rng(seed).integers(0, 255, (length, size, size, 3), dtype=np.uint8)
    return Video(frames=frames, fps=10)


def test_importing_the_folder_needs_no_torch():
    """Listing IDMs works without their libraries."""
    code = "import dreamgen_bench.idms, dreamgen_bench.idms.waypoint_cnn, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_labels_have_one_row_per_step(idm):
    """T frames have T - 1 steps, for any length and any picture size."""
    videos = [noise(17), noise(5), noise(2), noise(9, size=128)]
    labels = list(idm.label(videos))
    wide = len(getattr(idm, "columns", LABELS))
    assert [one.shape for one in labels] == [(len(video.frames) - 1, wide) for video in videos]
    assert all(one.dtype == np.float32 and np.isfinite(one).all() for one in labels)


def test_videos_are_labeled_in_order_and_alone(idm):
    """What a video's neighbors are, and how often it is labeled, changes nothing."""
    videos = [noise(6, seed=seed) for seed in range(3)]
    together = list(idm.label(videos))
    backwards = list(idm.label(videos[::-1]))[::-1]
    for video, one, other in zip(videos, together, backwards, strict=True):
        np.testing.assert_allclose(one, next(idm.label([video])), atol=1e-4)
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_still_video_stands_still(idm):
    """Nothing moves, so the waypoints stay where they are."""
    frame = noise(1).frames
    labels = next(idm.label([Video(frames=np.repeat(frame, 17, 0), fps=10)]))
    assert np.ptp(labels[:, :3], axis=0).max() < 0.01


def test_a_video_slower_than_the_robot_is_refused(idm):
    """What happened between its frames was never seen."""
    with pytest.raises(UserError, match="frames a second"):
        next(iter(idm.label([Video(frames=noise(9).frames, fps=5)])))


def test_a_video_of_twice_the_frames_has_a_label_for_each(idm):
    """Frames between those that are looked at change nothing; in time, the labels are those of the slower video."""
    slow = noise(9)
    fast = Video(frames=np.repeat(slow.frames, 2, 0)[:-1], fps=20)
    labels = next(iter(idm.label([fast])))
    assert len(labels) == 16
    np.testing.assert_allclose(labels[1::2], next(iter(idm.label([slow]))), atol=1e-5)


@pytest.mark.parametrize("spec", [s for s in SPECS if s.weights == "shipped"], ids=lambda spec: spec.name)
def test_the_revision_is_that_of_the_shipped_weights(spec):
    """Records made with other weights never pass for these; and they stay small."""
    data = (registry.weights_of(spec) / "model.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest().startswith(spec.revision)
    assert len(spec.revision) >= 12 and len(data) <= 2_000_000


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_missing_checkpoint_is_the_users_to_mend(tmp_path, spec):
    """The error names the folder and what makes it."""
    with pytest.raises(UserError, match=f"baselines/{spec.name}/run.sh"):
        registry.load(spec, checkpoint=tmp_path)


@pytest.mark.parametrize("spec", [s for s in SPECS if not s.latent], ids=lambda spec: spec.name)
@pytest.mark.parametrize("look", ["lab", "environment-5"])
def test_it_beats_saying_that_the_hand_is_where_it_mostly_is(look, spec):
    """In the lab and in a room it has never seen, on a behavior it has never seen. How well: the card's figures."""
    from dreamgen_bench.envs.experts import expert, record
    from dreamgen_bench.envs.metaworld import MetaWorld

    env = MetaWorld("drawer-close")
    env.reset(seed=11, options={"look": look})
    clip = record(env, expert(env))
    env.close()
    idm = registry.load(spec)
    labels = next(idm.label([Video(frames=clip.frames, fps=10)]))
    away = np.linalg.norm(labels[:, WAYPOINT[:3]] - clip.states[1:, :3], axis=1)
    guess = np.linalg.norm(clip.states[1:, :3].mean(0) - clip.states[1:, :3], axis=1)
    assert np.median(away) < np.median(guess)
