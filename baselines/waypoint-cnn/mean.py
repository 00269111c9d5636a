"""The mean of two trainings that went on from the same weights: `python baselines/waypoint-cnn/mean.py A B --out C`.

Wortsman et al., Model soups (ICML 2022): better than either, at the cost of one.
"""

import argparse
import hashlib
import json
from pathlib import Path

from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs=2, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    one, other = (load_file(folder / "model.safetensors") for folder in args.folders)
    said, also = (json.loads((folder / "config.json").read_text("utf-8")) for folder in args.folders)
    if (said["mean"], said["std"]) != (also["mean"], also["std"]):
        raise SystemExit("these two scale labels otherwise: they did not go on from the same weights")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "model.safetensors"
    save_file({name: ((one[name].float() + other[name].float()) / 2).half() for name in one}, path)
    said["held_out"] = [said["held_out"], also["held_out"]]  # of either, not of the mean
    said["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (args.out / "config.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
