"""Recompute published agreement of raters and judges: python baselines/published/raters.py --data ../shared/data.

Reads the folders fetv, genai_bench_video, imagenhub_raters and viescore_imagenhub, each with the raters' own numbers
and an `expected.json`. Prints one line a figure and exits 1 where one is off.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from check import Check, Folders, column, main, rows_of
from scipy.stats import kendalltau, spearmanr

from dreamgen_bench import reliability, stats

Entries = list[dict[str, Any]]


def checked(name: str, entry: dict[str, Any], ours: float | None) -> Check:
    """One figure as recomputed elsewhere, and as printed, unless the data lack what the print was made of."""
    return Check(
        name=name,
        published=None if entry.get("reproduces") is False else entry["published"],
        recomputed=entry["recomputed"],
        ours=ours,
        tolerance=entry.get("tolerance", 0.0),
    )


def also(name: str, value: float, ours: float | None) -> Check:
    """A figure that no paper prints."""
    return Check(name=name, published=None, recomputed=value, ours=ours)


def fetv(folder: Path, entries: Entries) -> Iterator[Check]:
    """Automatic scores against the mean of three raters. The paper's Kendall is tau-c, ours elsewhere tau-b."""
    rows = rows_of(folder / "human_and_auto.csv")
    people = np.stack([column(rows, f"alignment_h{rater}") for rater in range(3)])
    for entry in entries:
        if entry["id"] == "inter-human alignment":
            yield from _between_people(entry["recomputed"], people)
            continue
        score, name = column(rows, entry["id"].split(" vs ")[0]), f"fetv {entry['id']}"
        mean = people.mean(0)
        # Ours ties scores that differ in their last bit alone, as thirds do that were added up in another order; the
        # paper's and the recomputed figures do not.
        if entry["statistic"] == "spearman":
            yield checked(f"{name} spearman of the bits", entry, float(spearmanr(score, mean).statistic))
            yield checked(f"{name} spearman", entry | {"recomputed": None}, stats.spearman(score, mean).value)
            yield also(f"{name} pearson", entry["pearson_recomputed"], stats.pearson(score, mean).value)
        else:
            yield checked(f"{name} tau-c", entry, float(kendalltau(score, mean, variant="c").statistic))
            yield also(f"{name} tau-b of the bits", entry["tau_b_recomputed"], float(kendalltau(score, mean).statistic))


def _between_people(expected: dict[str, Any], people: np.ndarray) -> Iterator[Check]:
    for level, value in expected["alpha"].items():
        yield also(f"fetv raters alpha {level}", value, reliability.alpha(people, level=level))
    for place, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        pair = people[one], people[other]
        yield also(f"fetv raters {one}-{other} kappa", expected["kappa"][place], reliability.cohen(*pair))
        weighted = reliability.cohen(*pair, weights="quadratic")
        yield also(f"fetv raters {one}-{other} quadratic kappa", expected["qwk"][place], weighted)


VERDICTS = {
    "[[A>B]]": "leftvote",
    "[[B>A]]": "rightvote",
    "[[A=B=Good]]": "tievote",
    "[[A=B=Bad]]": "bothbad_vote",
}


def genai_bench_video(folder: Path, entries: Entries) -> Iterator[Check]:
    """Verdicts on pairs. What is none of the four verdicts is wrong in the accuracy, and a class in kappa."""
    rows = rows_of(folder / "votes.csv")
    votes = [row["human_vote"] for row in rows]
    for entry in entries:
        if entry["id"] == "human votes":
            for vote, count in entry["recomputed"].items():
                yield also(f"genai {vote}", count, Counter(votes)[vote])
            continue
        said = [VERDICTS.get(row[entry["id"]], "none") for row in rows]
        right = 100 * float(np.mean([one == other for one, other in zip(said, votes, strict=True)]))
        yield checked(f"genai {entry['id']} accuracy", entry, right)
        kappa = reliability.cohen(votes, said)
        yield also(f"genai {entry['id']} kappa", entry["cohen_kappa_recomputed_unparsed_as_own_class"], kappa)
        yield also(f"genai {entry['id']} unparsed", entry["unparseable"], said.count("none"))


def imagenhub_raters(folder: Path, entries: Entries) -> Iterator[Check]:
    """Three raters' [SC,PR] cells: Fleiss' kappa and ordinal alpha per model."""
    for entry in entries:
        task, _, rest = entry["id"].partition("/")
        model, aspect = rest.rsplit(" ", 1)
        ratings = np.array([_cells(folder / f"{task}_rater{n}.tsv", model)[:, int(aspect == "PR")] for n in (1, 2, 3)])
        found = reliability.fleiss(ratings), reliability.alpha(ratings, level="ordinal")
        for place, name in enumerate(("fleiss", "alpha")):
            one = {key: entry[key][place] for key in ("published", "recomputed")} | {"tolerance": entry["tolerance"]}
            one["published"] = None if one["published"] is None else float(one["published"])
            yield checked(f"imagenhub {entry['id']} {name}", one, found[place])


def _cells(path: Path, model: str) -> np.ndarray:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return np.array([json.loads(row[model]) for row in rows], np.float64)


def viescore_imagenhub(folder: Path, entries: Entries) -> Iterator[Check]:
    """A judge against the mean of three raters, per model.

    The averages that were published are tanh of the plain mean: the forward transform was left out. Both are checked.
    """
    table = rows_of(folder / "judge_and_three_raters.csv")
    for entry in entries:
        task, _, rest = entry["id"].partition("/")
        if entry["statistic"] == "average spearman":
            task, aspect = entry["id"].split(" average over models ")
            rows = [row for row in table if row["task"] == task]
            models = dict.fromkeys(row["model"] for row in rows)
            rhos = [_judge(rows, model, aspect) for model in models]
            yield checked(f"viescore {entry['id']} (as published)", entry, float(np.tanh(np.mean(rhos))))
            yield also(f"viescore {entry['id']} plain", entry["plain_mean"], float(np.mean(rhos)))
            fisher = float(np.tanh(np.mean(np.arctanh(rhos))))
            yield also(f"viescore {entry['id']} Fisher", entry["correct_fisher_z_average"], fisher)
            continue
        rows = [row for row in table if row["task"] == task]
        model, aspect = rest.split(":")[0].rsplit(" ", 1)
        if entry["statistic"] == "spearman":
            yield checked(f"viescore {entry['id']}", entry, _judge(rows, model, aspect))
        else:
            mean = float(np.mean(_one_out(rows, model, aspect)))
            yield checked(f"viescore {entry['id']} (as published)", entry, float(np.tanh(mean)))
            yield also(f"viescore {entry['id']} plain", entry["plain_mean"], mean)


def _rated(rows: list[dict[str, str]], model: str, aspect: str) -> tuple[np.ndarray, np.ndarray]:
    mine = [row for row in rows if row["model"] == model]
    return column(mine, f"judge_{aspect}"), np.stack([column(mine, f"h{n}_{aspect}") for n in (1, 2, 3)])


def _judge(rows: list[dict[str, str]], model: str, aspect: str) -> float:
    judge, people = _rated(rows, model, aspect)
    rho = stats.spearman(judge, people.mean(0)).value
    assert rho is not None, (model, aspect)
    return rho


def _one_out(rows: list[dict[str, str]], model: str, aspect: str) -> list[float]:
    _, people = _rated(rows, model, aspect)
    rhos = [stats.spearman(people[n], np.delete(people, n, 0).mean(0)).value for n in range(3)]
    return [rho for rho in rhos if rho is not None]


FOLDERS: Folders = {
    "fetv": fetv,
    "genai_bench_video": genai_bench_video,
    "imagenhub_raters": imagenhub_raters,
    "viescore_imagenhub": viescore_imagenhub,
}


if __name__ == "__main__":
    sys.exit(main(FOLDERS, __doc__))
