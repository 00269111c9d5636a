"""Load a dataset with lerobot itself and write down what it gives: python load_with_lerobot.py FOLDER OUT.npz.

lerobot is in no environment of ours, since torchvision's wheels want CUDA and take transformers down with them where
there is none: its two operators are declared here, which is all that is asked of them. A dataset of v2.1 goes through
lerobot's own converter first. Frames are decoded by torchcodec where it loads, else by PyAV, which both use ffmpeg.
"""

import sys
from pathlib import Path

import numpy as np
import torch

OPERATORS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.datasets import lerobot_dataset  # noqa: E402


def decoded(path, timestamps, tolerance, backend=None):
    """As lerobot's decoders: float [N, 3, H, W] in 0..1, the frames that are nearest to the timestamps."""
    import av

    with av.open(str(path)) as container:
        frames = {float(frame.time): frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    found = [min(frames, key=lambda time: abs(time - wanted)) for wanted in timestamps]
    assert all(abs(time - wanted) < tolerance for time, wanted in zip(found, timestamps, strict=True))
    return torch.from_numpy(np.stack([frames[time] for time in found])).permute(0, 3, 1, 2) / 255


def converted(folder):
    """The v3.0 dataset that lerobot's converter makes of one of v2.1."""
    from lerobot.datasets.v30 import convert_dataset_v21_to_v30 as v30

    new = folder.with_name(folder.name + "-v30")
    v30.convert_info(folder, new, 100, 200)
    v30.convert_tasks(folder, new)
    data = v30.convert_data(folder, new, 100)
    videos = v30.convert_videos(folder, new, 200)
    v30.convert_episodes_metadata(folder, new, data, videos)
    return new


def main(folder, out):
    if not (folder / "meta/tasks.parquet").exists():
        folder = converted(folder)
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        lerobot_dataset.decode_video_frames = decoded
    dataset = lerobot_dataset.LeRobotDataset("ours/ours", root=folder)
    rows = [dataset[number] for number in range(len(dataset))]
    camera = dataset.meta.camera_keys[0]
    np.savez(
        out,
        frames=np.stack([(row[camera] * 255).round().byte().permute(1, 2, 0).numpy() for row in rows]),
        task=np.array([row["task"] for row in rows]),
        mean=dataset.meta.stats["action"]["mean"],
        **{key: np.stack([row[key].numpy() for row in rows]) for key in ("action", "timestamp", "episode_index")},
        state=np.stack([row["observation.state"].numpy() for row in rows]),
        fps=dataset.fps,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
