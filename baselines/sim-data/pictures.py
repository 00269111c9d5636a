"""Pictures of the lab, changed in ways that leave the robot where it is: what IDMs and world models are trained on."""

import functools
import math

import numpy as np
import torch
from scipy.ndimage import binary_dilation, distance_transform_edt
from torch import Tensor
from torch.nn import functional as F


def background(frames: np.ndarray) -> Tensor:
    """The empty lab: the median of many first and last frames; float [64, 64, 3] in 0..255."""
    return torch.from_numpy(np.median(np.concatenate([frames[:200, 8], frames[:200, -1]]), axis=0)).float()


def bare(clips: np.ndarray) -> np.ndarray:
    """Rooms of clips uint8 [N, T, H, W, 3], without an arm; [M, H, W, 3], M <= N, since a few show nothing at rest.

    Where anything ever moves the room is what lies nearest. A median would keep the arms of clips in which they come to
    rest, and teach that an arm at rest is a piece of furniture.
    """
    rooms = []
    for clip in clips:
        moves = (np.abs(clip[1:].astype(np.int16) - clip[:1]) > 16).any((0, 3))
        moves = binary_dilation(moves, iterations=2)
        if not moves.all():
            y, x = distance_transform_edt(moves, return_distances=False, return_indices=True)
            rooms.append(clip[0][y, x])
    return np.array(rooms)


def augmented(x: Tensor, empty: Tensor, rng: torch.Generator) -> Tensor:
    """[N, frames, 64, 64, 3] in 0..255, every sample changed in its own way but constant over its frames.

    What stands before the empty lab (arm, puck, marker) is kept and the lab behind it is rebuilt: another color, other
    things in it, some also before the arm. Then the colors of everything are mixed, and the picture is blurred and
    made noisy.
    """
    n = len(x)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng)

    shown = ((x - empty).abs().amax(-1, keepdim=True) > 22).float()
    field = F.interpolate(uniform(n, 3, 3, 3) * 255, size=64, mode="bilinear").permute(0, 2, 3, 1)
    room = torch.where(uniform(n, 1, 1, 1) < 0.5, empty * (0.5 + uniform(n, 1, 1, 3)), field)
    room = with_boxes(room, rng, boxes=7, often=0.55, largest=19)
    changed = (uniform(n, 1, 1, 1, 1) < 0.85).float()
    x = x * (1 - changed) + changed * (shown * x + (1 - shown) * room[:, None])
    before = with_boxes(torch.full((n, 64, 64, 3), -1.0), rng, boxes=2, often=0.2, largest=10)[:, None]
    x = torch.where(before < 0, x, before)
    mix = torch.eye(3) + torch.randn(n, 3, 3, generator=rng) * uniform(n, 1, 1) * 0.15
    x = torch.einsum("ntijc,ncd->ntijd", x, mix)
    x = x * (0.7 + 0.6 * uniform(n, 1, 1, 1, 1)) + 30 * (uniform(n, 1, 1, 1, 3) - 0.5)
    soft = torch.nonzero(uniform(n) < 0.35).flatten()
    if len(soft):
        flat = x[soft].permute(0, 1, 4, 2, 3).reshape(-1, 3, 64, 64)
        flat = F.interpolate(F.avg_pool2d(flat, 2), scale_factor=2, mode="bilinear")
        x[soft] = flat.reshape(len(soft), -1, 3, 64, 64).permute(0, 1, 3, 4, 2)
    return (x + torch.randn(x.shape, generator=rng) * 6 * uniform(n, 1, 1, 1, 1)).clamp(0, 255)


def softened(x: Tensor, rng: torch.Generator) -> Tensor:
    """[N, 1 + frames, 64, 64, 3], the first of them their clips' first, to [N, frames, 64, 64, 3] without it.

    Half of the samples are as generated videos are: swollen, haunted by the first frame, out of focus, hazy, trailing.

    Of no model in particular: an IDM that has seen one model's own pictures would read that model best.
    """
    first, x = x[:, :1], x[:, 1:].clone()
    swell, haunt, soft = (torch.rand(len(x), generator=rng) < share for share in (0.2, 0.4, 0.5))
    x[swell & soft] = swollen(x[swell & soft], rng)
    x[haunt & soft] = haunted(x[haunt & soft], first[haunt & soft], rng)
    x[soft] = hazed(x[soft], rng)
    return x


def haunted(x: Tensor, first: Tensor, rng: torch.Generator) -> Tensor:
    """[N, frames, H, W, 3] through which the first frame [N, 1, H, W, 3] shines in places: of what has left its own
    something mostly remains."""
    n, frames, side = *x.shape[:2], x.shape[2]
    places = F.interpolate(torch.rand(n, 1, 4, 4, generator=rng), size=side, mode="bicubic").reshape(
        n, 1, side, side, 1
    )
    places = ((places - 0.35) * 4).clamp(0, 1) * torch.rand(n, frames, 1, 1, 1, generator=rng)
    return torch.lerp(x, first.expand_as(x), 0.7 * places * torch.rand(n, 1, 1, 1, 1, generator=rng))


def swollen(x: Tensor, rng: torch.Generator) -> Tensor:
    """[N, frames, H, W, 3] with all that is light grown by up to a pixel, or all that is dark: soft things seem larger,
    and so nearer."""
    n = len(x)
    sides = [torch.roll(x, by, axis) for axis in (2, 3) for by in (1, -1)]
    grown = torch.stack([functools.reduce(grow, sides, x) for grow in (torch.maximum, torch.minimum)])
    which = torch.randint(2, (n,), generator=rng)
    return torch.lerp(x, grown[which, torch.arange(n)], 0.6 * torch.rand(n, 1, 1, 1, 1, generator=rng))


def hazed(x: Tensor, rng: torch.Generator) -> Tensor:
    """[N, frames, 64, 64, 3] out of focus, in places more than elsewhere, some trailing their other frames."""
    n, frames = x.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng)

    flat = x.permute(0, 1, 4, 2, 3).flatten(0, 1)
    soft, softer = (
        F.interpolate(F.avg_pool2d(flat, by), size=64, mode="bilinear").unflatten(0, (n, frames)).permute(0, 1, 3, 4, 2)
        for by in (2, 4)
    )
    focus = 1.3 * uniform(n, 1, 1, 1, 1)
    x = torch.lerp(torch.lerp(x, soft, focus.clamp(max=1)), softer, (focus - 1).clamp(min=0))
    haze = F.interpolate(uniform(n * frames, 1, 5, 5), size=64, mode="bicubic").reshape(n, frames, 64, 64, 1)
    haze = ((haze - 0.55) * 6).clamp(0, 1) * uniform(n, 1, 1, 1, 1)
    x = torch.lerp(x, torch.lerp(soft, softer, (haze > 0.5) * 0.7), haze)
    trails = (uniform(n, 1, 1, 1, 1) < 0.3) * 0.35 * uniform(n, 1, 1, 1, 1)
    return torch.lerp(x, x.mean(1, keepdim=True), trails)


def with_boxes(picture: Tensor, rng: torch.Generator, *, boxes: int, often: float, largest: float) -> Tensor:
    """[N, 64, 64, 3] with up to so many boxes of one color each, `largest` pixels from middle to side at most."""
    n, grid = len(picture), torch.arange(64.0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng)

    for _ in range(boxes):
        there = (uniform(n, 1, 1) < often).float()
        middle, half = uniform(n, 2) * 64, 2 + uniform(n, 2) ** 1.5 * (largest - 2)
        inside = ((grid[None, :, None] - middle[:, 0, None, None]).abs() < half[:, 0, None, None]) & (
            (grid[None, None, :] - middle[:, 1, None, None]).abs() < half[:, 1, None, None]
        )
        paint = (inside.float() * there)[..., None]
        picture = picture * (1 - paint) + paint * uniform(n, 1, 1, 3) * 255
    return picture


def pixels(frames: np.ndarray) -> Tensor:
    """uint8 [..., H, W, 3] to float [..., 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -3))).float() / 127.5 - 1


def disguised(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], half of them in another look: colors mixed, dark for light, a grain like wood's.

    What moves is the same in any look, so its code must be. Meta-World's table is of planks and dark, every drawn room
    is plain and most are lighter than the arm.
    """
    count, _, _, height, width = clips.shape
    mixed = in_other_colors(clips, wild=0.2, light=(0.6, 1.3))
    turned = (torch.rand(count, 1, 1, 1, 1) < 0.4) & (torch.rand(count, 1, 3, 1, 1) < 0.7)
    mixed = torch.where(turned, -mixed.clamp(-1, 1), mixed)
    line = torch.linspace(-1, 1, height)
    y, x = line[None, None, :, None], line[None, None, None, :]
    waves, along = 2 + 30 * torch.rand(count, 1, 1, 1), math.pi * torch.rand(count, 1, 1, 1)
    bent = 0.3 * F.interpolate(torch.randn(count, 1, 5, 5), size=(height, width), mode="bicubic")
    grain = torch.sin(waves * (x * along.cos() + y * along.sin() + bent))
    patches = F.interpolate(torch.randn(count, 1, 12, 12), size=(height, width))
    strength = 0.35 * torch.rand(count, 2, 1, 1) ** 2
    pattern = 1 + strength[:, :1] * grain + strength[:, 1:] * patches
    worn = ((mixed + 1) * pattern[:, None] - 1).clamp(-1, 1)
    return torch.where(torch.rand(count, 1, 1, 1, 1) < 0.5, worn, clips)


def furnished(clips: Tensor, empty: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], those of the empty room with pieces of the others' first frames standing in it.

    An arm that was only seen above a bare table is drawn as a haze beside anything else. Clips of other rooms differ
    from the empty one nearly everywhere, and stay as they are.
    """
    side, out = clips.shape[-1], clips.clone()
    for i in range(len(clips)):
        shown = standing(clips[i], empty)
        if shown.float().mean() > 0.5 or torch.rand(()) < 0.3:
            continue
        room = empty.clone()
        for _ in range(int(torch.randint(1, 5, ()))):
            height, width = (int(size) for size in torch.randint(6, 36, (2,)))
            top, left, y, x = (int(torch.randint(side - size, ())) for size in (height, width, height, width))
            piece = clips[int(torch.randint(len(clips), ())), 0, :, y : y + height, x : x + width]
            color = 2 * torch.rand(3, 1, 1) - 1
            room[:, top : top + height, left : left + width] = piece if torch.rand(()) < 0.6 else color
        out[i] = torch.where(shown, clips[i], room)
    return out


def recolored(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W], four of five in colors that are mixed much more than any disguise: other robots' arms."""
    count = len(clips)
    mixed = in_other_colors(clips, wild=0.35, light=(0.5, 1.4)) + 0.3 * torch.randn(count, 1, 3, 1, 1)
    return torch.where(torch.rand(count, 1, 1, 1, 1) < 0.8, mixed.clamp(-1, 1), clips)


def repainted(clips: Tensor) -> Tensor:
    """Clips [N, T, 3, H, W] of the lab's arm in two colors: one for the arm, which is red, one for its fingers.

    Of the lab's fingers one is white and one cyan, and a black ring is above them: by these a hand is found that has
    learnt nothing else. No other robot has them.
    """
    count = len(clips)
    level = (clips + 1) / 2
    bright = level.amax(2, keepdim=True)
    fingers = level[:, :, 1:].amin(2, keepdim=True) > 0.3
    ring = torch.where(torch.rand(count, 1, 1, 1, 1) < 0.7, 0.6, bright)
    shade = torch.where(bright < 0.25, ring, bright)
    arm, trim = (shades(count)[:, None, :, None, None] for _ in range(2))
    return 2 * torch.where(fingers, trim * bright, arm * (shade / 0.75)).clamp(0, 1) - 1


def shades(count: int) -> Tensor:
    """As many colors [count, 3] in 0..1: gray or strong, dark or light."""
    color = torch.rand(count, 3)
    color = color / color.amax(1, keepdim=True)
    color = torch.lerp(torch.ones(count, 3), color, torch.rand(count, 1))
    return color * (0.1 + 0.9 * torch.rand(count, 1))


def moved_to(clips: Tensor, rooms: Tensor, empty: Tensor) -> Tensor:
    """What stands before the empty lab in clips [N, T, 3, H, W], in other colors, in rooms [N, 3, H, W].

    Other behaviors have things before which the arm is half hidden, and others that it moves: here and there a piece
    of the room stands before the arm, or something of one color is in every frame elsewhere.
    """
    count, steps, _, height, width = clips.shape
    painted = torch.where(torch.rand(count, 1, 1, 1, 1) < 0.75, repainted(clips), recolored(clips))
    hidden = boxes_at(torch.rand(count, 1, 2), 10, (height, width)) & (torch.rand(count, 1, 1, 1, 1) < 0.25)
    places = torch.rand(count, 1, 2) + 0.4 * torch.rand(count, steps, 2) - 0.2
    strange = boxes_at(places, 7, (height, width)) & (torch.rand(count, 1, 1, 1, 1) < 0.4)
    color = (2 * torch.rand(count, 1, 3, 1, 1) - 1).expand_as(clips)
    before = torch.rand(count, 1, 1, 1, 1) < 0.3
    arm = standing(clips, empty, 0.15) & ~hidden
    drawn = torch.where(strange, color, rooms[:, None].expand_as(clips))
    return torch.where(arm & ~(strange & before), painted, drawn)


def boxes_at(places: Tensor, most: int, size: tuple[int, int]) -> Tensor:
    """Inside of one box for each clip, its middle at `places` [N, T, 2] (shares of the picture), at `most` so many
    pixels to its sides; bool [N, T, 1, H, W]."""
    count = len(places)
    half = 2 + torch.rand(count, 1, 2) * (most - 2)
    middle = places * torch.tensor(size)
    y, x = torch.arange(size[0])[:, None], torch.arange(size[1])[None]
    inside = [(line - middle[..., i, None, None]).abs() < half[..., i, None, None] for i, line in enumerate((y, x))]
    return (inside[0] & inside[1])[:, :, None]


def in_other_colors(clips: Tensor, *, wild: float, light: tuple[float, float]) -> Tensor:
    """Clips [N, T, 3, H, W], colors of each in another order and mixed so `wild`ly, in a `light` from least to most."""
    count, (least, most) = len(clips), light
    mix = torch.stack([torch.eye(3)[torch.randperm(3)] for _ in range(count)]) + wild * torch.randn(count, 3, 3)
    shine = least + (most - least) * torch.rand(count, 1, 1, 1, 1)
    return torch.einsum("ntchw,ncd->ntdhw", clips + 1, mix) * shine - 1


def standing(pictures: Tensor, empty: Tensor, least: float = 0.17) -> Tensor:
    """Where pictures [..., 3, H, W] differ from the empty room [3, H, W]; bool [..., 1, H, W]."""
    return (pictures - empty).abs().amax(-3, keepdim=True) > least


def warped(clips: Tensor) -> Tensor:
    """Clips as cameras see them that are mounted slightly otherwise: turned by 5 degrees, nearer, aside."""
    count, steps, _, height, width = clips.shape
    turn, scale = math.radians(10) * (torch.rand(count) - 0.5), 1 + 0.14 * (torch.rand(count) - 0.5)
    aside = 0.16 * (torch.rand(count, 2) - 0.5)
    rows = [
        torch.stack([scale * turn.cos(), -scale * turn.sin(), aside[:, 0]], 1),
        torch.stack([scale * turn.sin(), scale * turn.cos(), aside[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), (count, 3, height, width), align_corners=False)
    flat = F.grid_sample(
        clips.flatten(0, 1), grid.repeat_interleave(steps, 0), padding_mode="border", align_corners=False
    )
    return flat.unflatten(0, (count, steps))
