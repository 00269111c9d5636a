"""Policy recipes on the same trajectories from the same starts: measure.py LABELS STEPS EPISODES RECIPE,.. --out DIR.

LABELS is `true` or the name of an IDM. The videos are those of `replay` of the 144 tasks of metaworld-policy-v1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from dreamgen_bench import downstream, evaluate, registry, scores, suites
from dreamgen_bench.envs import start
from dreamgen_bench.envs.demonstrations import labels_of
from dreamgen_bench.envs.experts import expert, record
from dreamgen_bench.store import RecordFile
from dreamgen_bench.types import EpisodeRecord, Suite, Trajectory, Video


def trajectories(suite: Suite, labels: str) -> list[Trajectory]:
    """Expert episodes from the suite's own starts, with true labels or with those of an IDM."""
    idm = None if labels == "true" else registry.load(registry.find("idms", labels))
    made = []
    for task in suite.tasks:
        state = task.state
        env = start(state["behavior"], state["scene"], state["seed"], state["look"])
        clip = record(env, expert(env), frames=task.num_frames)
        found = labels_of(clip) if idm is None else next(idm.label([Video(frames=clip.frames, fps=task.fps)]))
        made.append(Trajectory(frames=clip.frames, labels=found, instruction=task.instruction))
    return made


def main() -> None:
    """Fit each recipe with seed 0, try it, and print its row and its CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels")
    parser.add_argument("steps", type=int)
    parser.add_argument("episodes", type=int)
    parser.add_argument("recipes")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    suite = suites.load("metaworld-policy-v1")
    data = trajectories(suite, args.labels)
    where = evaluate.starts(suite, args.episodes)
    for name in args.recipes.split(","):
        spec, folder, before = registry.find("policies", name), args.out / name, time.process_time()
        registry.fitter(spec)(data, seed=0, out=folder, steps=args.steps)
        print(f"{name}: {args.steps} steps in {time.process_time() - before:.0f} CPU seconds")
        policy = (spec, "0", lambda spec=spec, folder=folder: registry.load(spec, checkpoint=folder))
        evaluate.run(args.labels, policy, where, downstream.make_env, out=folder)
        print(scores.success(RecordFile(folder / "episodes.jsonl", EpisodeRecord).read().values(), {})[0])


if __name__ == "__main__":
    main()
