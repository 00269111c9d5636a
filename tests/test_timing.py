"""An IDM looks at a video where its robot's control steps fall, and its labels stand on the video's own steps."""

import numpy as np
import pytest

from dreamgen_bench.idms.timing import control_frames, on_video_steps
from dreamgen_bench.types import UserError


def test_a_video_at_the_control_rate_is_looked_at_as_it_is():
    """Nothing is resampled, and labels keep their bits."""
    assert control_frames(17, 10, 10).tolist() == list(range(17))
    labels = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    assert on_video_steps(labels, 17, 10, 10).tobytes() == labels.tobytes()


@pytest.mark.parametrize("fps", [10, 16, 20, 24, 30, 29.97])
def test_labels_of_a_faster_video_are_true_at_its_own_steps(fps):
    """A hand that moves at a steady speed is where it is at each frame's time, whatever the rate."""
    count = int(2 * fps) + 1
    frames = control_frames(count, fps, 10)
    assert frames[0] == 0 and (np.diff(frames) >= 1).all() and frames[-1] < count
    ends = np.arange(1, len(frames)) / 10
    labels = on_video_steps(np.stack([3 * ends, 1 - ends], 1), count, fps, 10)
    times = np.arange(1, count) / fps
    inner = (times >= ends[0]) & (times <= ends[-1])
    assert labels.shape == (count - 1, 2) and inner.mean() > 0.8
    np.testing.assert_allclose(labels[inner], np.stack([3 * times, 1 - times], 1)[inner], atol=1e-5)


def test_the_published_mistake_is_not_made():
    """Frames of a video at twice the rate stand two apart, and 16 labels of it become 32."""
    assert control_frames(33, 20, 10).tolist() == list(range(0, 33, 2))
    assert len(on_video_steps(np.zeros((16, 8)), 33, 20, 10)) == 32


@pytest.mark.parametrize("fps", [5, 9.9, 0, -10, float("nan"), float("inf")])
def test_a_video_that_hides_what_happened_is_refused(fps):
    """Fewer frames than control steps: the error names both rates."""
    with pytest.raises(UserError, match="10 times a second"):
        control_frames(17, fps, 10)


def test_a_video_shorter_than_a_control_step_is_refused():
    """There is nothing to label."""
    with pytest.raises(UserError, match="less than one control step"):
        control_frames(2, 30, 10)
