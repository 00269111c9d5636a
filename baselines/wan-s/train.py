"""Train wan-s, an image-to-video pipeline of diffusers at toy size: `python train.py vae|latents|video|assemble`.

    vae        AutoencoderKLWan in the Wan 2.2 way (pixels unshuffled before the first convolution)
    latents    encode every training clip once: what the next stage reads
    video      UMT5EncoderModel and WanTransformer3DModel together, by flow matching, the first frame kept clean
    assemble   put WanImageToVideoPipeline together, save it as float16 safetensors, load it again, dream

A stage runs for `--minutes` and leaves an averaged checkpoint every two minutes, so that it may be stopped at any time.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

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
Z, WORDS = 16, 24  # latent channels; tokens that an instruction is padded to (max_sequence_length of the card)
VALIDATION = "web-0039.npz"  # never trained on
PICK_PLACE = "pick-place"


# Data


def clips(folder: Path, share_of_teleop: float) -> tuple[torch.Tensor, list[str]]:
    """uint8 [N, 3, 17, 64, 64] and behaviors: every web clip but the held-out ones, and successful teleoperation."""
    frames, behaviors = [], []
    for path in sorted(folder.glob("web-*.npz")):
        if path.name != VALIDATION:
            shard = np.load(path)
            frames.append(shard["frames"])
            behaviors += shard["behavior"].tolist()
    wanted = round(len(behaviors) * share_of_teleop / (1 - share_of_teleop))
    for path in sorted(folder.glob("teleop-*.npz")):
        shard = np.load(path)
        taken = shard["frames"][shard["success"]][: max(wanted, 0)]
        wanted -= len(taken)
        frames.append(taken)
        behaviors += [PICK_PLACE] * len(taken)
    return channels_first(np.concatenate(frames)), behaviors


def validation(folder: Path, count: int) -> tuple[torch.Tensor, list[str]]:
    shard = np.load(folder / VALIDATION)
    return channels_first(shard["frames"][:count]), shard["behavior"][:count].tolist()


def channels_first(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 4, 1, 2, 3)))


def pixels(frames: torch.Tensor) -> torch.Tensor:
    """uint8 to what the autoencoder takes: -1 to 1."""
    return frames.float() / 127.5 - 1


# Networks


def autoencoder() -> AutoencoderKLWan:
    """8x smaller in space (4 of it by unshuffling), 2x in time: 17x64x64 becomes 16 channels of 9x8x8."""
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


def calm(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Begin with residual branches that add nothing: a nearly linear code is learned first, and sooner."""
    for module in vae.modules():
        if type(module).__name__ == "WanResidualBlock":
            torch.nn.init.zeros_(module.conv2.weight)
            torch.nn.init.zeros_(module.conv2.bias)
    return vae


def transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=3,
        attention_head_dim=64,
        in_channels=Z,
        out_channels=Z,
        text_dim=64,
        freq_dim=128,
        ffn_dim=768,
        num_layers=5,
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


def schedule(optimizer, peak: float, step: int, done: float, warm: int) -> None:
    """Linear warm-up, then a cosine down to 3 % over the time that is given."""
    rate = peak * min(1, (step + 1) / warm) * (0.5 * (1 + math.cos(math.pi * min(done, 1))) * 0.97 + 0.03)
    for group in optimizer.param_groups:
        group["lr"] = rate


def weight_of(x: torch.Tensor) -> torch.Tensor:
    """[B, 1, T, H, W]: 1, and more where something moves or is small and coloured, as fingers and pucks are."""
    moving = ((x - x.median(2, keepdim=True).values).abs().amax(1, keepdim=True) > 0.12).float()
    flat = x.transpose(1, 2).flatten(0, 1)
    local = (flat - avg_pool2d(flat, 13, 1, 6, count_include_pad=False)).abs().amax(1, keepdim=True)
    small = (local > 0.4).float().unflatten(0, (len(x), -1)).transpose(1, 2)
    return 1 + 3 * moving + 3 * small


def psnr(vae: AutoencoderKLWan, frames: torch.Tensor) -> tuple[float, float]:
    """Of whole pictures, and of the pixels that move."""
    vae.eval()
    with torch.no_grad():
        x = pixels(frames)
        error = ((vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1) - x) / 2) ** 2
    moving = ((x - x.median(2, keepdim=True).values).abs().amax(1, keepdim=True) > 0.12).float()
    return tuple(-10 * math.log10(e) for e in (error.mean(), (error * moving).sum() / (3 * moving.sum())))


def train_vae(args: argparse.Namespace) -> None:
    frames, _ = clips(args.data, 0.25)
    held, _ = validation(args.data, 8)
    vae = calm(autoencoder())
    if args.init.exists():
        vae.load_state_dict(torch.load(args.init))
    vae.train()
    average = Average(vae, 0.99)
    optimizer = torch.optim.AdamW(vae.parameters(), args.rate, betas=(0.9, 0.95), weight_decay=1e-4)
    start, saved, step, running = time.time(), time.time(), 0, 0.0
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        schedule(optimizer, args.rate, step, done, 40)
        length = 5 if done < args.short else 17
        first = int(torch.randint(0, 18 - length, ()))
        batch = pixels(frames[torch.randint(0, len(frames), (8 if length == 5 else 3,))][:, :, first : first + length])
        mean = vae.encode(batch).latent_dist.mean
        # Noise keeps nearby codes alike: what the transformer gets slightly wrong still decodes.
        error = vae.decode(mean + 0.05 * torch.randn_like(mean)).sample - batch
        loss = ((error.abs() + 2 * error**2) * weight_of(batch)).mean() + 1e-3 * (mean**2).mean()
        running = advance(optimizer, vae.parameters(), loss, running)
        average.update(vae, step)
        step += 1
        if time.time() - saved > 100 or step == 50:
            saved = time.time()
            torch.save(average.network.state_dict(), args.work / "vae.pt")
            whole, moving = psnr(average.network, held)
            report(step=step, minutes=(saved - start) / 60, loss=running, psnr=whole, moving=moving)
    torch.save(average.network.state_dict(), args.work / "vae.pt")
    whole, moving = psnr(average.network, held)
    report(step=step, minutes=args.minutes, loss=running, psnr=whole, moving=moving)


def advance(optimizer, parameters, loss: torch.Tensor, running: float) -> float:
    """One clipped step; the running mean of the loss."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(list(parameters), 1.0)
    optimizer.step()
    return 0.97 * running + 0.03 * loss.item() if running else loss.item()


def report(**figures: float) -> None:
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}), flush=True)


def encode_all(args: argparse.Namespace) -> None:
    vae = trained_vae(args)
    kept = {"train": clips(args.data, 0.25), "validation": validation(args.data, 40)}
    found = {}
    with torch.no_grad():
        for name, (frames, behaviors) in kept.items():
            codes = [vae.encode(pixels(frames[i : i + 4])).latent_dist.mode() for i in range(0, len(frames), 4)]
            found[name] = (torch.cat(codes), behaviors)
    found["mean"] = found["train"][0].mean((0, 2, 3, 4))
    found["std"] = found["train"][0].std((0, 2, 3, 4))
    torch.save(found, args.work / "latents.pt")


def trained_vae(args: argparse.Namespace) -> AutoencoderKLWan:
    vae = autoencoder()
    vae.load_state_dict(torch.load(args.work / "vae.pt"))
    return vae.eval()


def normalised(found: dict, name: str) -> torch.Tensor:
    return (found[name][0] - found["mean"].view(1, -1, 1, 1, 1)) / found["std"].view(1, -1, 1, 1, 1)


class Dreamer(torch.nn.Module):
    """Text encoder and transformer, called as WanImageToVideoPipeline with `expand_timesteps` calls them."""

    def __init__(self):
        super().__init__()
        self.tokenizer = tokenizer()
        self.text = text_encoder(len(self.tokenizer))
        self.video = transformer()

    def embed(self, prompts: list[str]) -> torch.Tensor:
        """[B, WORDS, 64], zero beyond each prompt's last token."""
        tokens = self.tokenizer(
            prompts, padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt"
        )
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


def flow_loss(model: Dreamer, codes: torch.Tensor, behaviors: list[str], draw: torch.Generator) -> torch.Tensor:
    """Squared error of the velocity from the latents to the noise, on all frames but the first."""
    count = len(codes)
    uniform = torch.rand(count, generator=draw)
    middle = torch.sigmoid(torch.randn(count, generator=draw) * 1.2 + 0.5)
    sigma = torch.where(torch.rand(count, generator=draw) < 0.5, uniform, middle).clamp(1e-3, 1)
    noise = torch.randn(codes.shape, generator=draw)
    mixed = torch.lerp(codes, noise, sigma.view(-1, 1, 1, 1, 1))
    picks = torch.randint(0, WORDINGS, (count,), generator=draw).tolist()
    prompts = [INSTRUCTIONS[name][pick] for name, pick in zip(behaviors, picks, strict=True)]
    velocity = model(mixed, sigma, codes[:, :, :1], prompts)
    return ((velocity - (noise - codes))[:, :, 1:] ** 2).mean()


def train_video(args: argparse.Namespace) -> None:
    found = torch.load(args.work / "latents.pt")
    codes, held, behaviors = normalised(found, "train"), normalised(found, "validation"), found["train"][1]
    model = Dreamer()
    if args.init.exists():
        model.load_state_dict(torch.load(args.init))
    average = Average(model, 0.997)
    optimizer = torch.optim.AdamW(model.parameters(), args.rate, betas=(0.9, 0.95), weight_decay=0.02)
    draw = torch.Generator().manual_seed(args.seed)
    start, saved, step, running = time.time(), time.time(), 0, 0.0
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        schedule(optimizer, args.rate, step, done, 100)
        chosen = torch.randint(0, len(codes), (args.batch,), generator=draw)
        loss = flow_loss(model, codes[chosen], [behaviors[i] for i in chosen], draw)
        running = advance(optimizer, model.parameters(), loss, running)
        average.update(model, step)
        step += 1
        if time.time() - saved > 100 or step == 50:
            saved = time.time()
            checkpoint(args, average.network, held, found, step, (saved - start) / 60, running)
    checkpoint(args, average.network, held, found, step, args.minutes, running)


@torch.no_grad()
def checkpoint(args, model: Dreamer, held, found, step: int, minutes: float, running: float) -> None:
    torch.save(model.state_dict(), args.work / "video.pt")
    loss = flow_loss(model, held, found["validation"][1], torch.Generator().manual_seed(1)).item()
    report(step=step, minutes=minutes, loss=running, validation=loss)


# Assembly


def assemble(args: argparse.Namespace) -> None:
    """The pipeline, in float16, as `from_pretrained` reads it; and a test that it does."""
    found = torch.load(args.work / "latents.pt")
    vae, model = trained_vae(args), Dreamer()
    model.load_state_dict(torch.load(args.work / "video.pt"))
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
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    count = sum(p.numel() for part in (vae, model) for p in part.parameters())
    report(megabytes=size / 2**20, parameters=count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vae", "latents", "video", "assemble"))
    parser.add_argument("--data", type=Path, default=Path("/work/scratch/data"), help="of baselines/sim-data")
    parser.add_argument("--work", type=Path, default=Path("/work/scratch/wan"), help="for checkpoints and latents")
    parser.add_argument("--out", type=Path, default=ROOT / "dreamgen_bench/weights/wan-s")
    parser.add_argument("--init", type=Path, default=Path("none"), help="a checkpoint to go on from")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--short", type=float, default=0.7, help="share of the time on 5 frames rather than 17")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--shift", type=float, default=1.0, help="of the scheduler's noise levels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)
    stages = {"vae": train_vae, "latents": encode_all, "video": train_video, "assemble": assemble}
    stages[args.stage](args)


if __name__ == "__main__":
    main()
