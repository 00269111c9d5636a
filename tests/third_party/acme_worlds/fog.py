"""What is imported only once somebody dreams with it."""

import hashlib

import numpy as np
from PIL import Image

from dreamgen_bench import Video


class Fog:
    """Mixes the first frame with noise, more and more of it."""

    def __init__(self, thickness):
        self.thickness = thickness

    def generate(self, tasks, *, seed):
        """One video per task."""
        for task in tasks:
            first = np.asarray(Image.open(task.first_frame).convert("RGB"))
            number = int.from_bytes(hashlib.sha256(f"{task.suite}/{task.id}/{seed}".encode()).digest()[:8], "big")
            fog = np.random.default_rng(number).integers(0, 256, first.shape)
            shares = np.linspace(0, self.thickness, task.num_frames)
            yield Video(
                frames=np.stack([first + (fog - first) * share for share in shares]).astype(np.uint8), fps=task.fps
            )


def load(thickness):
    """The model."""
    return Fog(thickness)
