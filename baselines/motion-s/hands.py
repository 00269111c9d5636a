"""Where the hand is in videos without actions, in whatever look: the hand reader, which teleoperation teaches."""

from collections.abc import Mapping

import numpy as np
import torch
from pictures import disguised, furnished, moved_to, pixels, warped
from torch import Tensor, nn

from dreamgen_bench.idms.waypoint_cnn import tower
from dreamgen_bench.world_models import motion_networks as networks

LANDMARKS = (0, 4, 8, 12, 16)
"""Steps at which a clip is looked at to know its room."""
BATCH, OWN_ROOM, READ = 24, 7, 3
"""Clips to a step, how many of them stay in the lab, and the frames of each to read from."""


class HandReader(nn.Module):
    """Finds where the hand is and how wide it grips, in a frame seen beside what its clip shows else."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.see = tower(14, networks.HAND, width)

    def forward(self, landmarks: Tensor, frames: Tensor) -> Tensor:
        """The clips at LANDMARKS [N, 5, 3, 64, 64] and frames of them [N, T, 3, 64, 64] to [N, T, HAND].

        The arm moves and the room stays: the median of a clip is a room without an arm, or nearly.
        """
        count, steps = frames.shape[:2]
        room = torch.cat([landmarks[:, 0], landmarks[:, -1], landmarks.median(1).values], 1)
        seen = torch.cat([room.repeat_interleave(steps, 0), frames.flatten(0, 1)], 1)
        return self.see(torch.cat([seen, networks.coordinates(len(seen), 64)], 1)).unflatten(0, (count, steps))

    def read(self, clips: Tensor) -> Tensor:
        """Hands in all frames but the first of clips [N, 1 + STEPS, 3, 64, 64]."""
        return self(clips[:, LANDMARKS], clips[:, 1:])


def warmed(reader: HandReader, weights: Mapping[str, Tensor]) -> HandReader:
    """With the layers of an IDM of `waypoint_cnn`, all but the last: it knows the lab's arm, and sees other frames.

    The four that the IDM sees are one before, at, after and after that; of these the second becomes the frame that is
    read, and the mean of the others the three pictures of the room.
    """
    mine = reader.state_dict()
    layers = {f"see.{name}": value.float() for name, value in weights.items()}
    seen = layers["see.0.0.weight"]
    room = (seen[:, 0:3] + seen[:, 6:9] + seen[:, 9:12]) / 3
    layers["see.0.0.weight"] = torch.cat([room, room, room, seen[:, 3:6], seen[:, 12:]], 1)
    reader.load_state_dict(mine | {name: value for name, value in layers.items() if mine[name].shape == value.shape})
    return reader


def lesson(
    frames: np.ndarray, often: np.ndarray, rooms: np.ndarray, empty: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Clips of the lab in other looks, at five steps and at READ steps more; which clips [BATCH], steps [BATCH, READ].

    `often` says how often to draw each frame; it is the first of the READ. All steps of a clip are out of a few of it,
    in any order: teleoperation always begins at one place and hardly ever rests, other behaviors do neither, and a
    reader that sees where clips begin learns the place by heart.
    """
    index, step = np.divmod(rng.choice(len(often), BATCH, p=often), 1 + networks.STEPS)
    steps = np.stack([steps_of(at, len(LANDMARKS) + READ, rng) for at in step])
    clips = pixels(frames[index[:, None], steps])
    room = pixels(rooms[rng.integers(len(rooms), size=BATCH - OWN_ROOM)])
    clips = torch.cat([furnished(clips[:OWN_ROOM], empty), moved_to(clips[OWN_ROOM:], room, empty)])
    clips = disguised(torch.cat([warped(clips[:4]), clips[4:8], warped(clips[8:])]))
    return clips[:, : len(LANDMARKS)], clips[:, len(LANDMARKS) :], index, steps[:, len(LANDMARKS) :]


def steps_of(shown: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` steps of a clip, any of a few, `shown` among them and right after the LANDMARKS."""
    few = np.append(rng.permutation(1 + networks.STEPS)[: rng.integers(1 + networks.STEPS)], shown)
    steps = rng.choice(few, count)
    steps[len(LANDMARKS)] = shown
    return steps
