"""The table of all learned world models in a run folder: `python baselines/table.py runs/family > table.md`.

    dreamgen-bench run metaworld-seen-v1 metaworld-behavior-v1 --no-downstream --models A,B,... --out runs/family

`Executable, groups` counts only tasks that share their first frame with others: there the words alone decide.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from dreamgen_bench import latest, registry, stats, suites
from dreamgen_bench.store import read_json
from dreamgen_bench.types import Spec

SHORT = {"instruction-following-v1": "IF", "physics-alignment-v1": "PA", "executable": "Executable"}
HEADER = (
    "Model", "Family", "Adaptation", "Parameters", "Training", "Suite",
    *SHORT.values(), "Executable, groups", "s/video",
)  # fmt: skip


def rows(run: Path) -> list[tuple[str, ...]]:
    """A row for each world model and suite, the best first. Controls are shown beside the learned ones."""
    table = {(row["model"], row["suite"], row["rubric"]): row for row in read_json(run / "scores.json")}
    seconds, grouped = defaultdict(list), grouped_successes(run)
    for video in latest.videos(run):
        seconds[video.model, video.suite].append(video.seconds)
    found = []
    for model, suite in {key[:2] for key in table}:
        spec = registry.find("world_models", model)
        cells = [interval(table.get((model, suite, rubric))) for rubric in SHORT]
        outcomes = grouped.get((model, suite))
        values, tasks = zip(*outcomes, strict=True) if outcomes else ((), ())
        apart = stats.mean_interval(values, tasks=tasks) if outcomes else None
        mean_seconds = sum(seconds[model, suite]) / max(1, len(seconds[model, suite]))
        order = (suite, spec.group == "control", -(table[model, suite, "executable"]["mean"] or 0))
        cells.append(interval(apart and apart.json()))
        found.append((order, (*described(spec), suite, *cells, f"{mean_seconds:.2f}")))
    return [row for _, row in sorted(found)]


def grouped_successes(run: Path) -> dict[tuple[str, str], list[tuple[float, str]]]:
    """(model, suite) -> (success, task) of the replays of tasks whose first frame other tasks share."""
    found = defaultdict(list)
    for episode in latest.episodes(run):
        if episode.kind == "replay":
            group = next(task.group for task in suites.load(episode.suite).tasks if task.id == episode.task)
            if group:
                found[episode.model, episode.suite].append((float(bool(episode.success)), episode.task))
    return found


def described(spec: Spec) -> tuple[str, ...]:
    """What a model is, before what it can do."""
    size = f"{spec.parameters / 1e6:.1f} M" if spec.parameters else "–"
    return f"`{spec.name}`", spec.family or spec.group, spec.adaptation or "–", size, spec.training or "–"


def interval(row: dict | None) -> str:
    """A score as it stands in every table of ours."""
    if row is None or row["mean"] is None:
        return "–"
    return f"{row['mean']:.2f}{stats.bracketed(row['ci95'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    found = rows(parser.parse_args().run)
    print("| " + " | ".join(HEADER) + " |\n|" + " --- |" * len(HEADER))
    for row in found:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
