"""A task's frame in a model's size, and the model's video at the task's size, rate and length."""

import numpy as np
import pytest
from PIL import Image

from dreamgen_bench.world_models import framing


def test_a_first_frame_is_letterboxed_and_comes_back_unstretched():
    """A square in a wide frame and a wide picture in a square one: black beside, cut off again, shapes kept."""
    rng = np.random.default_rng(0)
    for size, frame, box in (((64, 64), (832, 480), (176, 0, 656, 480)), ((80, 40), (64, 64), (0, 16, 64, 48))):
        small = Image.fromarray(rng.integers(60, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8))
        picture = small.resize(size, Image.Resampling.BICUBIC)
        boxed = framing.letterboxed(picture, frame)
        assert boxed.size == frame and framing.picture_box(size, frame) == box
        inside = np.zeros(frame[::-1], bool)
        inside[box[1] : box[3], box[0] : box[2]] = True
        assert not np.asarray(boxed)[~inside].any() and np.asarray(boxed)[inside].any(-1).all()
        back = framing.unboxed(np.asarray(boxed)[None], size)[0]
        assert np.abs(back.astype(int) - np.asarray(picture)).mean() < 3
        assert back.min() > 30, "the black beside reached the picture"


def test_a_frame_of_the_models_own_size_is_untouched():
    """wan-s at 64x64 and 10 frames a second stays what it was, byte by byte."""
    frames = np.random.default_rng(0).integers(0, 255, (17, 64, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(frames[0])
    assert framing.letterboxed(picture, (64, 64)) is picture
    assert np.array_equal(framing.unboxed(frames, (64, 64)), frames)
    assert np.array_equal(framing.resampled(frames, 10, to_fps=10, num_frames=17), frames)


@pytest.mark.parametrize(
    ("fps", "made", "to_fps", "asked", "shown"),
    [
        (16, 81, 10, 5, [0, 2, 3, 5, 6]),
        (8, 49, 16, 5, [0, 1, 1, 2, 2]),
        (24, 97, 24, 3, [0, 1, 2]),
        (7, 4, 10, 8, [0, 1, 1, 2, 3]),  # too few seconds: fewer frames, and the model is at fault
    ],
)
def test_frames_are_those_shown_at_the_tasks_times(fps, made, to_fps, asked, shown):
    """The nearest that the model made at each of the task's times, at the model's own speed."""
    frames = np.arange(made, dtype=np.uint8)[:, None, None, None]
    assert framing.resampled(frames, fps, to_fps=to_fps, num_frames=asked).ravel().tolist() == shown
