"""Train wan-s, an image-to-video pipeline of diffusers at toy size: `python train.py vae|video|assemble`.

    vae        AutoencoderKLWan in the Wan 2.2 way: a linear code in closed form (linear.py), its decoder trained on
    video      UMT5EncoderModel and WanTransformer3DModel together, by flow matching, the first frame kept clean;
               needs the code only, and so may run beside the first
    assemble   put WanImageToVideoPipeline together and save it as float16 safetensors

A stage runs for `--minutes` and leaves averaged weights every minute and a half: stop it when you like, or go on from
them with `--init`.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import linear
import numpy as np
import torch
import yaml
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from torch.nn.functional import avg_pool2d
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = yaml.safe_load((ROOT / "dreamgen_bench/envs/instructions.yaml").read_text())
WORDINGS = 6  # of each behavior's eight; the last two are never trained on
Z, WORDS = 24, 16  # latent channels; tokens that an instruction is padded to (max_sequence_length of the card)
VALIDATION = "web-0039.npz"  # never trained on
RUNGS = (0.05, 0.15, 0.4)  # shares of a training at which its weights are kept: the family's lesser members
BLIND = 0.25  # share of clips learnt from pure noise


# Data


def web(folder: Path) -> tuple[torch.Tensor, list[str]]:
    """uint8 [N, 3, 17, 64, 64] and behaviors: every web clip but the held-out ones."""
    shards = [np.load(path) for path in sorted(folder.glob("web-*.npz")) if path.name != VALIDATION]
    frames = np.concatenate([shard["frames"] for shard in shards])
    return channels_first(frames), [name for shard in shards for name in shard["behavior"].tolist()]


def validation(folder: Path, count: int) -> tuple[torch.Tensor, list[str]]:
    shard = np.load(folder / VALIDATION)
    return channels_first(shard["frames"][:count]), shard["behavior"][:count].tolist()


def channels_first(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 4, 1, 2, 3)))


# Networks


def autoencoder() -> AutoencoderKLWan:
    """8x smaller in space (4 of it by unshuffling), 2x in time: 17x64x64 becomes Z channels of 9x8x8."""
    return AutoencoderKLWan(
        base_dim=48,
        z_dim=Z,
        dim_mult=[1, 1],
        num_res_blocks=1,
        temperal_downsample=[True],
        patch_size=4,
        in_channels=48,
        out_channels=48,
        scale_factor_temporal=2,
        scale_factor_spatial=8,
        latents_mean=[0.0] * Z,
        latents_std=[1.0] * Z,
    )


def transformer(heads: int, layers: int) -> WanTransformer3DModel:
    """144 tokens a clip."""
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=heads,
        attention_head_dim=64,
        in_channels=Z,
        out_channels=Z,
        text_dim=64,
        freq_dim=128,
        ffn_dim=256 * heads,
        num_layers=layers,
        rope_max_seq_len=64,
    )


def tokenizer() -> T5Tokenizer:
    """Every word of the training instructions is a piece; other words are spelled."""
    words = {word for wordings in INSTRUCTIONS.values() for text in wordings[:WORDINGS] for word in text.split()}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-',."
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -9.0)]
    pieces += [(f"▁{word}", -2.0) for word in sorted(words)] + [(letter, -10.0) for letter in letters]
    return T5Tokenizer(vocab=pieces, extra_ids=0, additional_special_tokens=[])


def text_encoder(vocabulary: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocabulary, d_model=64, d_kv=32, d_ff=128, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    return UMT5EncoderModel(config)


class Dreamer(torch.nn.Module):
    """Text encoder and transformer, called as WanImageToVideoPipeline with `expand_timesteps` calls them."""

    def __init__(self, heads: int, layers: int):
        super().__init__()
        self.tokenizer = tokenizer()
        self.text = text_encoder(len(self.tokenizer))
        self.video = transformer(heads, layers)

    def embed(self, prompts: list[str]) -> torch.Tensor:
        """[B, WORDS, 64], zero beyond each prompt's last token."""
        tokens = self.tokenizer(prompts, padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt")
        states = self.text(tokens.input_ids, tokens.attention_mask).last_hidden_state
        return states * tokens.attention_mask[:, :, None]

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, first: torch.Tensor, prompts: list[str]):
        """Velocity. The first latent frame is given, clean, and so its tokens are at time 0."""
        x = torch.cat([first, noisy[:, :, 1:]], 2)
        times = sigma[:, None].expand(-1, x.shape[2]) * 1000
        times = torch.cat([torch.zeros_like(times[:, :1]), times[:, 1:]], 1)
        per_frame = x.shape[3] * x.shape[4] // 4
        return self.video(
            hidden_states=x,
            timestep=times.repeat_interleave(per_frame, 1),
            encoder_hidden_states=self.embed(prompts),
            return_dict=False,
        )[0]


# Training


class Average:
    """A moving average of a network's weights: what is saved."""

    def __init__(self, network: torch.nn.Module, horizon: float):
        self.network, self.horizon = copy.deepcopy(network).eval().requires_grad_(False), horizon

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        keep = min(self.horizon, (step + 1) / (step + 15))
        for mine, new in zip(self.network.parameters(), network.parameters(), strict=True):
            mine.lerp_(new, 1 - keep)


class Run:
    """One stage's clock, learning rate, averaged weights and log."""

    def __init__(self, args: argparse.Namespace, network: torch.nn.Module, parameters: list, horizon: float):
        self.args, self.network, self.parameters = args, network, parameters
        self.average = Average(network, horizon)
        self.optimizer = torch.optim.AdamW(parameters, args.rate, betas=(0.9, 0.95), weight_decay=0.01)
        self.start = self.saved = time.time()
        self.step, self.loss = 0, 0.0

    def goes_on(self) -> bool:
        """False once the time is over; sets the rate: a warm-up, then a cosine down to 3 %."""
        done = (time.time() - self.start) / (60 * self.args.minutes + 1e-9)
        rate = self.args.rate * min(1, (self.step + 1) / 50) * (0.485 * (1 + math.cos(math.pi * min(done, 1))) + 0.03)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return done < 1

    def learn(self, loss: torch.Tensor) -> bool:
        """One clipped step. True when it is time to save."""
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.loss = 0.97 * self.loss + 0.03 * loss.item() if self.step else loss.item()
        self.average.update(self.network, self.step)
        self.step += 1
        due = time.time() - self.saved > 90
        self.saved = time.time() if due else self.saved
        return due

    def minutes(self) -> float:
        return (time.time() - self.start) / 60

    def save(self, path: Path, **figures: float) -> None:
        torch.save(self.average.network.state_dict(), path)
        report(step=self.step, minutes=self.minutes(), loss=self.loss, **figures)


def report(**figures: float) -> None:
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}), flush=True)


# Autoencoder


def motion(x: torch.Tensor) -> torch.Tensor:
    """[B, 1, T, H, W]: 1 where a pixel is not as it mostly is."""
    return ((x - x.median(2, keepdim=True).values).abs().amax(1, keepdim=True) > 0.12).float()


def weight_of(x: torch.Tensor) -> torch.Tensor:
    """[B, 1, T, H, W]: 1, and more where something moves or is small and coloured, as fingers and pucks are."""
    flat = x.transpose(1, 2).flatten(0, 1)
    local = (flat - avg_pool2d(flat, 13, 1, 6, count_include_pad=False)).abs().amax(1, keepdim=True)
    small = (local > 0.4).float().unflatten(0, (len(x), -1)).transpose(1, 2)
    return 1 + 3 * motion(x) + 3 * small


@torch.no_grad()
def psnr(vae: AutoencoderKLWan, frames: torch.Tensor) -> dict[str, float]:
    """Of whole pictures, and of the pixels that move."""
    x = linear.pixels(frames)
    error = ((vae.decode(vae.encode(x).latent_dist.mode()).sample - x) / 2) ** 2
    moving = motion(x)
    parts = {"psnr": error.mean(), "moving": (error * moving).sum() / (3 * moving.sum())}
    return {name: -10 * math.log10(part) for name, part in parts.items()}


def train_vae(args: argparse.Namespace) -> None:
    """The encoder is computed, the decoder learned, with noise on the code: what dreams get slightly wrong decodes."""
    frames, behaviors = web(args.data)
    held, held_behaviors = validation(args.data, 40)
    basis = linear.basis_of(frames, Z)
    codes = linear.encode(frames, basis)
    spread = codes.std((0, 2, 3, 4))
    # Not whitened: what is small in the picture stays small in the loss.
    scale = spread.max() * (spread / spread.max()) ** 0.6
    found = {
        "web": (codes, behaviors),
        "validation": (linear.encode(held, basis), held_behaviors),
    }
    torch.save(found | {"mean": codes.mean((0, 2, 3, 4)), "std": scale}, args.work / "latents.pt")
    vae = linear.calm(autoencoder())
    linear.write_encoder(vae, basis)
    report(linear_psnr=linear.write_decoder(vae, frames, basis, spread), **psnr(vae, held[:6]))
    if args.init.exists():
        vae.load_state_dict(torch.load(args.init))
    run = Run(args, vae, [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()], 0.98)
    while run.goes_on():
        length, count = (5, 8) if torch.rand(()) < args.short else (17, 3)
        chosen = frames[torch.randint(0, len(frames), (count,))][:, :, :length]
        code = linear.encode(chosen, basis)
        code = code + 0.05 * spread.view(1, -1, 1, 1, 1) * torch.randn_like(code)
        batch = linear.pixels(chosen)
        error = vae.decode(code).sample - batch
        if run.learn(((error.abs() + 2 * error**2) * weight_of(batch)).mean()):
            run.save(args.work / "vae.pt", **psnr(run.average.network, held[:6]))
    run.save(args.work / "vae.pt", **psnr(run.average.network, held[:6]))


# Video


def flow_loss(model: Dreamer, codes: torch.Tensor, behaviors: list[str], draw: torch.Generator) -> torch.Tensor:
    """Squared error of the velocity from the latents to the noise, on all frames but the first."""
    count = len(codes)
    uniform = torch.rand(count, generator=draw)
    middle = torch.sigmoid(torch.randn(count, generator=draw) * 1.2 + 0.5)
    sigma = torch.where(torch.rand(count, generator=draw) < 0.5, uniform, middle).clamp(1e-3, 1)
    # From pure noise the best answer is the mean of all futures: most of what there is to learn, and all of one step.
    sigma = torch.where(torch.rand(count, generator=draw) < BLIND, 1.0, sigma)
    noise = torch.randn(codes.shape, generator=draw)
    mixed = torch.lerp(codes, noise, sigma.view(-1, 1, 1, 1, 1))
    picks = torch.randint(0, WORDINGS, (count,), generator=draw).tolist()
    prompts = [INSTRUCTIONS[name][pick] for name, pick in zip(behaviors, picks, strict=True)]
    velocity = model(mixed, sigma, codes[:, :, :1], prompts)
    return ((velocity - (noise - codes))[:, :, 1:] ** 2).mean()


def train_video(args: argparse.Namespace) -> None:
    found = torch.load(args.work / "latents.pt")
    mean, std = (found[name].view(1, -1, 1, 1, 1) for name in ("mean", "std"))
    (codes, behaviors), (held, held_behaviors) = found["web"], found["validation"]
    model = Dreamer(args.heads, args.layers)
    if args.init.exists():
        model.load_state_dict(torch.load(args.init))
    run = Run(args, model, list(model.parameters()), 0.997)
    draw, rungs = torch.Generator().manual_seed(args.seed), list(RUNGS)

    @torch.no_grad()
    def held_out() -> float:
        same = torch.Generator().manual_seed(1)
        return flow_loss(run.average.network, (held - mean) / std, held_behaviors, same).item()

    while run.goes_on():
        chosen = torch.randint(0, len(codes), (args.batch,), generator=draw)
        loss = flow_loss(model, (codes[chosen] - mean) / std, [behaviors[i] for i in chosen], draw)
        due = run.learn(loss)
        if rungs and run.minutes() > rungs[0] * args.minutes:
            run.save(args.work / f"{args.name}-{rungs.pop(0):g}.pt", validation=held_out())
        if due:
            run.save(args.work / f"{args.name}.pt", validation=held_out())
    run.save(args.work / f"{args.name}.pt", validation=held_out())


# Assembly


def assemble(args: argparse.Namespace) -> None:
    """The pipeline, in float16, as `from_pretrained` reads it."""
    found = torch.load(args.work / "latents.pt")
    vae, model = autoencoder(), Dreamer(args.heads, args.layers)
    vae.load_state_dict(torch.load(args.work / "vae.pt"))
    model.load_state_dict(torch.load(args.work / f"{args.name}.pt"))
    vae.register_to_config(latents_mean=found["mean"].tolist(), latents_std=found["std"].tolist())
    pipeline = WanImageToVideoPipeline(
        tokenizer=model.tokenizer,
        text_encoder=model.text,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=args.shift),
        transformer=model.video,
        expand_timesteps=True,
    )
    pipeline.to(torch.float16).save_pretrained(args.out, safe_serialization=True)
    files = [path for path in args.out.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)  # safetensors writes for its owner alone
    size = sum(path.stat().st_size for path in files)
    report(megabytes=size / 2**20, parameters=sum(p.numel() for part in (vae, model) for p in part.parameters()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vae", "video", "assemble"))
    parser.add_argument("--data", type=Path, default=Path("/tmp/sim-data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("/tmp/wan-s"), help="for checkpoints and latents")
    parser.add_argument("--out", type=Path, default=ROOT / "dreamgen_bench/weights/wan-s")
    parser.add_argument("--init", type=Path, default=Path("none"), help="weights to go on from")
    parser.add_argument("--name", default="video", help="of the checkpoints that `video` leaves and `assemble` takes")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--short", type=float, default=0.5, help="share of the decoder's batches of 5 frames, not 17")
    parser.add_argument("--batch", type=int, default=8, help="clips to a step of the transformer")
    parser.add_argument("--heads", type=int, default=3, help="of the transformer, 64 wide each")
    parser.add_argument("--layers", type=int, default=4, help="of the transformer")
    parser.add_argument("--shift", type=float, default=1.0, help="of the scheduler's noise levels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    {"vae": train_vae, "video": train_video, "assemble": assemble}[args.stage](args)


if __name__ == "__main__":
    main()
