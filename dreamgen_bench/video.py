"""Video files: h264 in mp4 through PyAV. Files from others are hostile: sizes are bounded, nothing is trusted."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .types import UserError, Video

T = TypeVar("T")
MAX_FRAMES, MAX_PIXELS, MAX_BYTES = 8192, 4096 * 2304, 512 * 2**20
HELD = 512 * 2**20
"""Bytes of decoded frames up to which `sampled` holds a whole video."""


class VideoError(UserError):
    """A file that holds no usable video; says why in a few words."""


def encode(video: Video, *, web: bool = False, crf: int = 8) -> bytes:
    """An mp4. By default with full color resolution and little loss, for judges; `web` is what every browser plays.

    The same frames give the same bytes (one thread). Raises VideoError for frames that are no video.
    """
    import av

    frames = video.frames
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise VideoError(f"a video is uint8 [T, H, W, 3] with T > 0, not {frames.dtype} {list(frames.shape)}")
    if web:
        frames = frames.repeat(4, 1).repeat(4, 2) if frames.shape[1] <= 128 else frames
        frames = frames.repeat(1 + (frames.shape[1] < 2), 1).repeat(1 + (frames.shape[2] < 2), 2)
        frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264" if web else "libx264rgb", rate=_rate(video.fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p" if web else "rgb24"  # no color conversion, which rounds as memory happens to lie
        # Macroblock trees add floats up in an order that depends on what else the process has done (torch, above all).
        exact = {"threads": "1", "preset": "veryfast", "x264-params": "mbtree=0"}
        stream.options = {"crf": str(max(crf, 20) if web else crf), **exact}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [N, H, W, 3] -> [N, height, width, 3], by area: what is made smaller is averaged, not picked out."""
    from PIL import Image

    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BOX)) for f in frames])


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def beside(folder: Path, name: str) -> Path:
    """The file that a row of others names in its folder. Raises VideoError: out of the folder, no file, too large."""
    path = folder / name
    try:
        inside, there = path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, not a name, a loop of links
        raise VideoError(f"{name[:200]!r}: is no file's name ({type(error).__name__})") from error
    if not inside:
        raise VideoError(f"{name}: leads out of its folder")
    if not there:
        raise VideoError(f"{name}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise VideoError(f"{name}: larger than {MAX_BYTES // 2**20} MiB")
    return path


def read(path: Path) -> Video:
    """All frames of a video file. Raises VideoError: missing, no video, no frame, cut off, too long or too large."""
    frames, fps = _decoded(path, lambda frame: frame.to_ndarray(format="rgb24"))
    try:
        return Video(frames=np.stack(frames), fps=fps)
    except MemoryError as error:
        raise _too_little(path) from error


def sampled(path: Path, counts: Iterable[int]) -> dict[int, Video]:
    """For each of `counts` a video of which so many evenly spaced frames, first and last among them, can be taken.

    One whose frames are large together is decoded twice, to count them and to keep those alone, its rate lowered so
    that it lasts as long; any other is held as it is, for all counts. Raises VideoError as `read`.
    """
    wanted = sorted(set(counts))
    if _announced(path) <= HELD:
        return dict.fromkeys(wanted, read(path))
    length = measured(path)[0]
    places = {n: np.linspace(0, length - 1, min(n, length)).round().astype(int) for n in wanted}
    union, number = {int(at) for of in places.values() for at in of}, itertools.count()
    taken, fps = _decoded(path, lambda frame: frame.to_ndarray(format="rgb24") if next(number) in union else None)
    kept = {at: frame for at, frame in enumerate(taken) if frame is not None}
    rate = {n: fps * max(len(of) - 1, 1) / max(length - 1, 1) for n, of in places.items()}
    return {n: Video(frames=np.stack([kept[int(at)] for at in of]), fps=rate[n]) for n, of in places.items()}


def _announced(path: Path) -> int:
    """Bytes of all frames, as far as the file's head tells; what it hides is found out when it is decoded."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return int((stream.frames or MAX_FRAMES) * stream.width * stream.height * 3)
    except (av.FFmpegError, OSError, ValueError, IndexError):
        return 0


def measured(path: Path) -> tuple[int, int, int]:
    """How many frames a video file has, their height and their width, when every frame has been decoded.

    Raises VideoError as `read`, of which it takes half the time and little memory: no picture is made of a frame.
    """
    sizes, _ = _decoded(path, lambda frame: (frame.height, frame.width))
    return len(sizes), *sizes[0]


def _decoded(path: Path, take: Callable[[Any], T]) -> tuple[list[T], float]:
    """What is taken of each frame, and the frame rate (0 where the file says none)."""
    import av

    if not path.is_file():
        raise VideoError(f"{path}: no such file")
    taken: list[T] = []
    try:
        with warnings.catch_warnings(), av.open(str(path)) as container:
            warnings.simplefilter("ignore")
            if not container.streams.video:
                raise VideoError(f"{path}: holds no video")
            stream = container.streams.video[0]
            announced, fps = stream.frames, float(stream.average_rate or 0)
            if stream.width * stream.height > MAX_PIXELS:
                raise VideoError(f"{path}: {stream.width}x{stream.height} is larger than we read")
            size = None
            for frame in container.decode(stream):
                if (size := size or (frame.width, frame.height)) != (frame.width, frame.height):
                    raise VideoError(f"{path}: its frames change size")
                taken.append(take(frame))
                if len(taken) > MAX_FRAMES:
                    raise VideoError(f"{path}: more than {MAX_FRAMES} frames")
    except MemoryError as error:
        raise _too_little(path) from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: can't be decoded ({type(error).__name__}: {str(error)[:80]})") from error
    if not taken:
        raise VideoError(f"{path}: holds no frame")
    if announced and len(taken) < announced:
        raise VideoError(f"{path}: is cut off: {len(taken)} of {announced} frames can be read")
    return taken, fps


def _too_little(path: Path) -> UserError:
    # Not a VideoError: that this machine is small is no fault of the video, and must not be counted as one.
    why = "this machine has too little memory for all its frames"
    return UserError(f"{path}: {why}; nothing is lost, and a larger one goes on from here")
