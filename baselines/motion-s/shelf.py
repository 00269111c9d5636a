"""Put what `train.py` left on the shelf: `python shelf.py --work runs/motion-s --ship flow flow-sft ...`.

Every mover found in the work folder becomes a row of shelf.json, and with what LoRA added to it (NAME-sft) another; the
weights of those to be shipped are copied beside it, the others stay with the recipe.
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
TELEOPERATION = "sim-data teleop: pick-and-place in the lab"
HOW = {
    "regression": "says all motion codes at once; the same for every seed",
    "recurrent": "draws one motion code after another",
    "flow": "motion codes out of noise, by flow matching",
}


def told(path: Path) -> tuple[dict[str, str], int]:
    """What a file of weights says of itself, and how many numbers it holds."""
    with safe_open(path, "pt") as file:
        count = sum(file.get_tensor(name).numel() for name in file.keys())
        return file.metadata() or {}, count


def row(work: Path, name: str, adaptation: str, ship: bool) -> dict:
    """One model of the shelf: its files, their digest, and what it is."""
    said, parameters = told(work / f"{name}.safetensors")
    sft = f"{name}-sft" if adaptation == "sft" else ""
    args = {"mover": name, "renderer": "renderer"}
    args |= {"mover_lora": sft, "renderer_lora": "renderer-sft"} if sft else {}
    files = [f"{part}.safetensors" for part in args.values()]
    digest = hashlib.sha256(b"".join((work / file).read_bytes() for file in files)).hexdigest()
    trained = f"{said['steps']} steps of 32 clips, {said['minutes']} min, one CPU core"
    return {
        "name": f"motion-{sft or name}",
        "revision": digest[:12],
        "args": args,
        "files": files,
        "family": f"motion-{said['kind']}",
        "summary": HOW[said["kind"]] + (", adapted to the lab by LoRA" if sft else ""),
        "adaptation": adaptation,
        "weights": "shipped" if ship else "recipe",
        "parameters": parameters + sum(told(work / file)[1] for file in files[1:]),
        "training": trained + (f"; LoRA of rank 4, {told(work / files[2])[0]['steps']} steps" if sft else ""),
        "trained_on": [SIBLINGS, TELEOPERATION] if sft else [SIBLINGS],
        "stochastic": said["kind"] != "regression",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/motion-s"))
    parser.add_argument("--ship", nargs="*", default=[], help="names of movers whose weights are small and good enough")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in sorted(args.work.glob("*.safetensors")):
        if "kind" not in told(path)[0]:
            continue
        ship = path.stem in args.ship
        rows.append(row(args.work, path.stem, "zero", ship))
        if path.with_name(f"{path.stem}-sft.safetensors").exists():
            rows.append(row(args.work, path.stem, "sft", ship))
    for file in {file for found in rows if found["weights"] == "shipped" for file in found["files"]}:
        shutil.copyfile(args.work / file, OUT / file)
    (OUT / "shelf.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(f"{len(rows)} models, {sum(f.stat().st_size for f in OUT.iterdir()) / 1e6:.1f} MB in {OUT}")


if __name__ == "__main__":
    main()
