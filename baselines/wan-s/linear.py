"""A linear video code written into an AutoencoderKLWan in closed form: where its training begins.

Gradient descent needs hours on a CPU to find what principal components and least squares give at once. The encoder
holds components of 8x8 blocks, and means and differences of them over pairs of frames; it is kept. The decoder begins
as the regression from 3x3 neighbouring codes to 4x4 pixels, and is trained on from there.

A Wan network normalises and bends what it passes (RMS norm, silu). Two devices keep it linear: residual branches begin
at nothing, and a constant channel, louder than all others, makes the norm a division by a constant, after which silu
of what is near zero is half of it.
"""

import math

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify
from torch.nn.functional import unfold

LOUD = 3e4  # the encoder's constant channel: exact to 1 in 1000, and still a float16
LOUD_OUT = 48.0  # the decoder's: to 1 in 40, since training must get through it
SPREAD_OUT = 0.35  # of the decoder's components beside it


def calm(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Residual branches that add nothing yet."""
    for module in vae.modules():
        last = {"WanResidualBlock": "conv2", "WanAttentionBlock": "proj"}.get(type(module).__name__)
        if last:
            torch.nn.init.zeros_(getattr(module, last).weight)
            torch.nn.init.zeros_(getattr(module, last).bias)
    return vae


def first_of(network: torch.nn.Module, kind: str) -> torch.nn.Module:
    return next(module for module in network.modules() if type(module).__name__ == kind)


def pixels(frames: torch.Tensor) -> torch.Tensor:
    """uint8 to what the autoencoder takes: -1 to 1."""
    return frames.float() / 127.5 - 1


def some(frames: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    return frames[torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))[:count]]


# The code


def blocks(x: torch.Tensor) -> torch.Tensor:
    """[B, 3, T, H, W] to [B, T, H / 8, W / 8, 192], ordered as a Wan encoder's patches under a 2x2 convolution."""
    b, c, t, h, w = x.shape
    x = x.view(b, c, t, h // 8, 2, 4, w // 8, 2, 4)  # b c t Y dy py X dx px
    return x.permute(0, 2, 3, 6, 1, 8, 5, 4, 7).reshape(b, t, h // 8, w // 8, 192)


def basis_of(frames: torch.Tensor, z: int) -> torch.Tensor:
    """[192, z]: principal components of blocks."""
    flat = blocks(pixels(some(frames, 300, seed=0)[:, :, ::4])).reshape(-1, 192)
    return torch.linalg.eigh(torch.cov(flat.T))[1].flip(1)[:, :z].contiguous()


def encode(frames: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """[B, z, 1 + T // 2, H / 8, W / 8]: what the network encodes after `write_encoder`, a hundred times sooner.

    Latent frame 0 holds all z components of frame 0; each later one the means of two frames' first 2 z / 3, and half
    the differences of their first z / 3.
    """
    z = basis.shape[1]
    parts = blocks(pixels(frames)) @ basis
    before, after = parts[:, 1::2], parts[:, 2::2]
    both = [(before + after)[..., : 2 * z // 3] / 2, (after - before)[..., : z // 3] / 2]
    return torch.cat([parts[:, :1], torch.cat(both, -1)], 1).permute(0, 4, 1, 2, 3)


# The networks


@torch.no_grad()
def write_encoder(vae: AutoencoderKLWan, basis: torch.Tensor) -> None:
    """Make the network's encoder the function `encode`."""
    encoder, z = vae.encoder, basis.shape[1]
    width, means = encoder.conv_in.weight.shape[0], 2 * z // 3
    down = first_of(encoder, "WanResample")
    space, time = down.resample[1], down.time_conv
    for layer in (encoder.conv_in, space, time, encoder.conv_out, vae.quant_conv):
        layer.weight.zero_()
        layer.bias.zero_()
    encoder.conv_in.weight[:, :, 2, 1, 1] = torch.eye(width)
    space.weight[:z, :, :2, :2] = basis.T.reshape(z, width, 2, 2)
    space.bias[-1] = LOUD
    time.weight[-1, -1, 2, 0, 0] = 1
    for k in range(means):
        time.weight[k, k, 1:, 0, 0] = 0.5
    for k in range(z // 3):
        time.weight[means + k, k, 1:, 0, 0] = torch.tensor([-0.5, 0.5])
    encoder.conv_out.weight[:z, :z, 2, 1, 1] = torch.eye(z) * 2 * LOUD / width**0.5
    vae.quant_conv.weight[:, :, 0, 0, 0] = torch.eye(2 * z)


@torch.no_grad()
def write_decoder(vae: AutoencoderKLWan, frames: torch.Tensor, basis: torch.Tensor, spread: torch.Tensor) -> float:
    """Make the network's decoder a least-squares inverse of `encode`; its PSNR on what it was fitted to."""
    decoder, z = vae.decoder, basis.shape[1]
    up, block = first_of(decoder, "WanResample"), first_of(decoder.up_blocks[1], "WanResidualBlock")
    space, shortcut = up.resample[1], block.conv_shortcut
    inner = space.weight.shape[0] - 1
    for layer in (vae.post_quant_conv, decoder.conv_in, up.time_conv, space, shortcut, decoder.conv_out):
        layer.bias.zero_()
    vae.post_quant_conv.weight[:, :, 0, 0, 0] = torch.diag(1 / spread)
    decoder.conv_in.weight[:z] = 0
    decoder.conv_in.weight[:z, :, 2, 1, 1] = torch.eye(z)
    write_pairs(up.time_conv.weight, spread)
    slopes, components, offset, psnr = regression(frames, basis, spread, inner)
    space.weight.zero_()
    space.weight[:inner, :z] = SPREAD_OUT * slopes.T.reshape(inner, z, 3, 3)
    space.bias[-1] = LOUD_OUT
    shortcut.weight.zero_()
    shortcut.weight[: inner + 1, :, 0, 0, 0] = torch.eye(inner + 1)
    decoder.conv_out.weight.zero_()
    width = decoder.conv_out.weight.shape[1]
    decoder.conv_out.weight[:, :inner, 2, 1, 1] = components * (2 * LOUD_OUT / width**0.5 / SPREAD_OUT)
    decoder.conv_out.bias[:] = offset
    return psnr


def write_pairs(weight: torch.Tensor, spread: torch.Tensor) -> None:
    """[2 W, W, 3, 1, 1], from a code of means and half differences to two frames' components."""
    z, second = len(spread), weight.shape[0] // 2
    means = 2 * z // 3
    weight[:z] = weight[second : second + z] = 0
    for k in range(means):
        weight[k, k, 2] = weight[second + k, k, 2] = 1
    for k in range(z // 3):
        weight[second + k, means + k, 2] = spread[means + k] / spread[k]
        weight[k, means + k, 2] = -spread[means + k] / spread[k]


def regression(frames: torch.Tensor, basis: torch.Tensor, spread: torch.Tensor, rank: int):
    """[9 z, rank] codes to components of unit spread, [48, rank] these to patches, [48] the mean patch, the PSNR."""
    chosen, z = some(frames, 250, seed=1)[:, :, :5], basis.shape[1]
    # What the decoder has of a frame: all of frame 0; later, pairs share what their code has no differences of.
    known = blocks(pixels(chosen)) @ basis / spread
    known[:, 1:, ..., 2 * z // 3 :] = 0
    shared = known[:, 1:, ..., z // 3 : 2 * z // 3].unflatten(1, (2, 2)).mean(2).repeat_interleave(2, 1)
    known[:, 1:, ..., z // 3 : 2 * z // 3] = shared
    grid = known.flatten(0, 1).permute(0, 3, 1, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    x = unfold(grid, 3, padding=1).permute(0, 2, 1).reshape(-1, 9 * z)
    y = patchify(pixels(chosen), 4).permute(0, 2, 3, 4, 1).reshape(-1, 48)
    offset = y.mean(0)
    gram = x.T @ x + 1e-4 * len(x) * torch.eye(9 * z)
    slopes = torch.linalg.solve(gram, x.T @ (y - offset))
    values, vectors = torch.linalg.eigh(slopes.T @ (x.T @ x / len(x)) @ slopes)
    size, vectors = values.flip(0)[:rank].clamp_min(1e-8).sqrt(), vectors.flip(1)[:, :rank]
    error = (y - offset - x @ slopes @ vectors @ vectors.T).pow(2).mean().item()
    return slopes @ vectors / size, vectors * size, offset, -10 * math.log10(error / 4)
