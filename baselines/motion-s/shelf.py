"""Put what `train.py` left on the shelf: `python shelf.py --work runs/motion-s --ship flow ...`.

Every mover found in the work folder becomes a row of shelf.json, and a row more for each way it was adapted to the
lab; the weights of those to be shipped are copied beside it, the others stay with the recipe. What is on the shelf
stays: a row is replaced only by one of its name whose weights are others.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from safetensors import safe_open

ROOT = Path(__file__).parents[2]
OUT = ROOT / "dreamgen_bench/weights/motion-s"
SIBLINGS = "sim-data siblings: all 50 behaviors, never in the lab's look"
DEMONSTRATIONS = "sim-data demos and teleop: pick-and-place in the lab"
HOW = {
    "regression": "says all motion codes at once; the same for every seed",
    "recurrent": "draws one motion code after another",
    "flow": "motion codes out of noise, by flow matching",
}


ADAPTED = {
    "zero": "",
    "sft": "; adapted to the lab by LoRA, rank 4",
    "arm": "; adapted to the lab by LoRA, and the lab's arm is drawn over it",
    "full": "; adapted to the lab, every weight of it",
}


def told(path: Path) -> tuple[dict[str, str], int]:
    """What a file of weights says of itself, and how many numbers it holds."""
    with safe_open(path, "pt") as file:
        count = sum(file.get_tensor(name).numel() for name in file.keys())
        return file.metadata() or {}, count


def files_of(name: str, variant: str) -> dict[str, str]:
    """What `motion_code.load` is to read: as pretrained, with LoRA, or all relearnt."""
    lora = {"mover_lora": f"{name}-sft", "renderer_lora": "renderer-sft"}
    return {
        "zero": {"mover": name, "renderer": "renderer"},
        "sft": {"mover": name, "renderer": "renderer", **lora},
        "arm": {"mover": name, "mover_lora": f"{name}-arm", "renderer": "renderer-full"},
        "full": {"mover": f"{name}-full", "renderer": "renderer-full"},
    }[variant]


def row_name(name: str, variant: str) -> str:
    return f"motion-{name}" + ("" if variant == "zero" else f"-{variant}")


def row(work: Path, name: str, variant: str, ship: bool) -> dict:
    """One model of the shelf: its files, their digest, and what it is."""
    said, _ = told(work / f"{name}.safetensors")
    args = files_of(name, variant)
    files = [f"{part}.safetensors" for part in args.values()]
    digest = hashlib.sha256(b"".join((work / file).read_bytes() for file in files)).hexdigest()
    training = f"{said['steps']} steps of 16 clips, {said['minutes']} min, one CPU core"
    if variant != "zero":
        training += f", then {told(work / f'{name}-{variant}.safetensors')[0]['steps']} in the lab"
    return {
        "name": row_name(name, variant),
        "revision": digest[:12],
        "args": args,
        "files": files,
        "family": f"motion-{said['kind']}",
        "summary": HOW[said["kind"]] + ADAPTED[variant],
        "adaptation": "zero" if variant == "zero" else "sft",
        "weights": "shipped" if ship else "recipe",
        "parameters": sum(told(work / file)[1] for file in files),
        "training": training,
        "trained_on": [SIBLINGS] if variant == "zero" else [SIBLINGS, DEMONSTRATIONS],
        "stochastic": said["kind"] != "regression",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"))
    parser.add_argument("--ship", nargs="*", default=[], help="models whose weights go with the package")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    shelf = OUT / "shelf.json"
    before = json.loads(shelf.read_text("utf-8")) if shelf.exists() else []
    rows = {row["name"]: row for row in before if row["weights"] == "shipped"}
    for path in sorted(args.work.glob("*.safetensors")):
        if "kind" not in told(path)[0] or path.stem.endswith("-full"):
            continue
        for variant in ADAPTED:
            name = row_name(path.stem, variant)
            if variant == "zero" or path.with_name(f"{path.stem}-{variant}.safetensors").exists():
                made = row(args.work, path.stem, variant, ship=name in args.ship)
                if name not in rows or rows[name]["revision"] != made["revision"]:
                    rows[name] = made
    kept = {file for found in rows.values() if found["weights"] == "shipped" for file in found["files"]}
    for old in OUT.glob("*.safetensors"):
        if old.name not in kept:
            old.unlink()
    for file in kept:
        if (args.work / file).exists():
            shutil.copyfile(args.work / file, OUT / file)
    shelf.write_text(json.dumps(sorted(rows.values(), key=lambda found: found["name"]), indent=1) + "\n", "utf-8")
    print(f"{len(rows)} models, {sum(f.stat().st_size for f in OUT.iterdir()) / 1e6:.1f} MB in {OUT}")


if __name__ == "__main__":
    main()
