"""Recompute published agreement figures: python baselines/published/check.py --data ../shared/data.

Reads the folders simpler, policy_scatter, autoeval and worldarena, each with the authors' numbers and an
`expected.json` (published figure, figure recomputed elsewhere, tolerance). Prints one line a figure and exits
1 where one is off.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamgen_bench import correlate, stats

MMRV_REAL_GAP = "mmrv (sim ranks violated, weighted by the REAL gap)"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure: as printed in the paper, as recomputed outside this project, and as we have it."""

    name: str
    published: float | None
    recomputed: float | None
    ours: float | None
    tolerance: float = 0.0

    def ok(self) -> bool:
        """Ours is within the tolerance of the paper and equal to the recomputed figure at its last digit."""
        if self.ours is None or (self.published is None and self.recomputed is None):
            return False
        near = self.published is None or abs(self.ours - self.published) <= self.tolerance
        return near and (self.recomputed is None or abs(self.ours - self.recomputed) <= last_digit(self.recomputed))


Folders = Mapping[str, Callable[[Path, list[dict[str, Any]]], Iterator[Check]]]
"""A folder of the authors' numbers, and what recomputes its figures from the folder and the expected entries."""


def last_digit(value: float) -> float:
    """Half a unit of the last printed digit; figures are kept to 4 digits or more, less trailing zeros."""
    return 0.55 * 10.0 ** -max(4, len(repr(value).partition(".")[2]))


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    """One column as float64 [rows]."""
    return np.array([float(row[name]) for row in rows])


def coefficients(score: Any, success: Any) -> dict[str, float | None]:
    """Every coefficient under the names that the expected files use."""
    return {
        "n": len(score),
        "pearson": stats.pearson(score, success).value,
        "spearman": stats.spearman(score, success).value,
        "kendall_tau_b": stats.kendall(score, success).value,
        "mmrv": stats.mmrv(score=score, success=success).value,
        "mmrv_real_gap": stats.mmrv(score=score, success=success).value,
        "mmrv_sim_gap": stats.mmrv(score=success, success=score).value,
    }


def simpler(folder: Path, entries: list[dict[str, Any]]) -> Iterator[Check]:
    """Real and simulated success of each policy, one table a task; with the value of swapped arguments."""
    table = rows_of(folder / "paired_success.csv")
    for entry in entries:
        rows = [row for row in table if row["id"] == entry["id"]]
        ours = coefficients(column(rows, "sim_success"), column(rows, "real_success"))
        ours[MMRV_REAL_GAP] = ours["mmrv"]
        short = {MMRV_REAL_GAP: "mmrv"}.get(entry["statistic"], entry["statistic"])
        yield figure(f"{entry['id']} {short}", entry, ours[entry["statistic"]])
        beside = {
            "value_if_real_and_sim_are_swapped": "mmrv_sim_gap",
            "spearman_recomputed": "spearman",
            "kendall_tau_b_recomputed": "kendall_tau_b",
        }
        for key, name in beside.items():
            if key in entry:
                yield Check(name=f"{entry['id']} {name}", published=None, recomputed=entry[key], ours=ours[name])


def policy_scatter(folder: Path, entries: list[dict[str, Any]]) -> Iterator[Check]:
    """Points read off figures, through `correlate.from_table`, and orders printed in a table."""
    columns: dict[str, tuple[str, str]] = {}
    for entry in entries:
        path, statistic = folder / entry["file"], entry["statistic"]
        if statistic.startswith("spearman of the two printed orders"):
            yield figure(entry["id"], entry, printed_orders(path, entry["id"].removeprefix("recipe rankings ")))
        elif statistic.startswith("mean real"):
            yield from worldgym_means(path, entry)
        else:
            if "predicted_column" in entry:
                columns[entry["file"]] = (entry["predicted_column"], entry["real_column"])
            yield from scatter(path, entry, columns[entry["file"]])


def scatter(path: Path, entry: dict[str, Any], columns: tuple[str, str]) -> Iterator[Check]:
    """One entry about a table of points; `columns` are the simulated and the real one."""
    sim, real = columns
    found = correlate.from_table(path, score=sim, success=real)
    swapped = correlate.from_table(path, score=real, success=sim)
    ours = {name: found[name]["value"] for name in ("pearson", "spearman")}
    ours |= {"n": found["n_models"], "kendall_tau_b": found["kendall"]["value"]}
    ours |= {"mmrv_real_gap": found["mmrv"]["value"], "mmrv_sim_gap": swapped["mmrv"]["value"]}
    if entry["published"] is not None:
        yield figure(f"{entry['id']} {entry['statistic']}", entry, ours[entry["statistic"]])
        also = entry.get("all_recomputed", {})
    else:
        also = entry["recomputed"]
    for name, value in also.items():
        yield Check(name=f"{entry['id']} {name}", published=None, recomputed=value, ours=ours[name])


def printed_orders(path: Path, name: str) -> float | None:
    """Spearman's rho of two orders of the same letters."""
    row = next(row for row in rows_of(path) if f"{row['env']}/{row['dim']}" == name)
    letters = sorted(row["sim_order"])
    places = [[row[key].index(letter) for letter in letters] for key in ("sim_order", "real_order")]
    return stats.spearman(*places).value


def worldgym_means(path: Path, entry: dict[str, Any]) -> Iterator[Check]:
    """Mean success of one policy over 17 tasks, real and in the world model, in percent."""
    policy = entry["id"].removeprefix("WorldGym mean success ")
    rows = [row for row in rows_of(path) if row["policy"] == policy]
    for place, name in enumerate(("real", "world_model")):
        mean = stats.mean_interval(column(rows, name), tasks=[row["task"] for row in rows]).mean
        yield Check(
            name=f"{entry['id']} {name}",
            published=entry["published"][place],
            recomputed=round(entry["recomputed"][place], 3),
            ours=None if mean is None else round(100 * mean, 3),
            tolerance=0.05,
        )


def autoeval(folder: Path, entries: list[dict[str, Any]]) -> Iterator[Check]:
    """Agreement per task, and the mean over the tasks, which alone is published."""
    table = rows_of(folder / "successes.csv")
    found = {}
    for task in dict.fromkeys(row["task"] for row in table):
        rows = [row for row in table if row["task"] == task]
        trials = column(rows, "n_trials")
        auto, human = (column(rows, f"{who}_successes") / trials for who in ("autoeval", "human_eval"))
        found[task] = coefficients(auto, human)
    for entry in entries:
        if entry["id"] in found:
            for name, value in entry["recomputed"].items():
                ours = found[entry["id"]][name]
                yield Check(name=f"{entry['id']} {name}", published=None, recomputed=value, ours=ours)
        else:
            name = "mmrv" if "MMRV" in entry["statistic"] else "pearson"
            each = [value for one in found.values() if (value := one[name]) is not None]
            # An undefined task would make it the mean of fewer tasks than the paper's.
            mean = float(np.mean(each)) if len(each) == len(found) else None
            yield figure(f"{entry['id']} {name}", entry, mean)


def worldarena(folder: Path, entries: list[dict[str, Any]]) -> Iterator[Check]:
    """EWMScore of six world models against the success of policies trained on their data."""
    rows = rows_of(folder / "ewmscore_vs_policy_success.csv")
    tasks = [column(rows, name) for name in ("data_engine_adjust_bottle_pct", "data_engine_click_bell_pct")]
    score, (entry,) = column(rows, "ewmscore"), entries
    mean = np.mean(tasks, axis=0)
    yield figure(f"{entry['id']} pearson", entry, stats.pearson(score, mean).value)
    rho = stats.spearman(score, mean).value
    yield Check(name="the same, spearman", published=None, recomputed=entry["spearman_recomputed"], ours=rho)
    for task, value in zip(tasks, entry["per_task_pearson"], strict=True):
        ours = stats.pearson(score, task).value
        yield Check(name="the same, pearson of one task", published=None, recomputed=value, ours=ours)


def figure(name: str, entry: dict[str, Any], ours: float | None) -> Check:
    """The check of a published figure with the tolerance that its entry gives."""
    return Check(
        name=name,
        published=entry["published"],
        recomputed=entry["recomputed"],
        ours=ours,
        tolerance=entry["tolerance"],
    )


FOLDERS: Folders = {
    "simpler": simpler,
    "policy_scatter": policy_scatter,
    "autoeval": autoeval,
    "worldarena": worldarena,
}


def main(folders: Folders, about: str | None) -> int:
    """Print the table of these folders' figures; 0 where all come out, 1 where one does not, 2 without data."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"folder that holds {', '.join(folders)}")
    data = parser.parse_args().data
    lacking = [name for name in folders if not (data / name / "expected.json").is_file()]
    if lacking:
        print(f"{data} lacks {', '.join(name + '/expected.json' for name in lacking)}", file=sys.stderr)
        return 2
    checks = []
    for name, compute in folders.items():
        entries = json.loads((data / name / "expected.json").read_text(encoding="utf-8"))
        checks += list(compute(data / name, entries))
    print(f"{'figure':<96} {'published':>10} {'recomputed':>11} {'ours':>11}  ok")
    for check in checks:
        cells = ["-" if value is None else f"{value:.6g}" for value in (check.published, check.recomputed, check.ours)]
        print(f"{check.name:<96} {cells[0]:>10} {cells[1]:>11} {cells[2]:>11}  {'ok' if check.ok() else 'OFF'}")
    off = sum(not check.ok() for check in checks)
    published = sum(check.published is not None for check in checks)
    print(f"{len(checks) - off} of {len(checks)} figures come out, {published} of them published")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main(FOLDERS, __doc__))
