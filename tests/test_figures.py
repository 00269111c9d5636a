"""What the figures of a board show, and that they are told apart without color."""

import itertools

import numpy as np
import pytest
from finished_run import finished_run
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from dreamgen_bench import figures, plots, publish, submission
from dreamgen_bench.plots import GROUPS, lines

SUITE = "metaworld-seen-v1"
# Machado, Oliveira & Fernandes 2009, severity 1: protanope, deuteranope, tritanope, on linear RGB.
BLIND = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def linear(color):
    """A color's linear RGB."""
    value = np.array(to_rgb(color))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(kind, color):
    """A color's linear RGB as such an eye sees it, 0-1."""
    return np.clip(kind @ linear(color), 0, 1)


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Two judges' boards of the same videos."""
    found = []
    for judge in ("j@1", "k@2"):
        run = finished_run(tmp_path_factory.mktemp("run") / "run", suite=SUITE, tasks=6, judges=(judge,))
        found += publish.boards(list(submission.drafts(submission.read(run))))
    return found


def test_places_are_shared_out_in_full(boards):
    """Each model takes some place in every resample, each place is taken by some model, the best is first."""
    shares, models = figures.place_shares(figures.answers_of(boards[0]))
    assert shares.sum(axis=0) == pytest.approx(1) and shares.sum(axis=1) == pytest.approx(1)
    assert models[0] in ("good", "replay") and shares.shape == (6, 6)


def test_models_that_are_equal_share_the_places():
    """No name comes first for being early in the alphabet."""
    same = {"instruction": {("t", 0): 1.0}, "physics": {("t", 0): 1.0}}
    shares, _ = figures.place_shares({"a": same, "b": same})
    assert np.abs(shares - 0.5).max() < 0.05


def test_agreement_of_judges_is_of_shared_videos():
    """A share over the videos that both saw; none is NaN, not 0."""
    one = {"m": {"instruction": {("a", 0): 1.0, ("b", 0): 0.0}, "physics": {}}}
    other = {"m": {"instruction": {("b", 0): 1.0, ("c", 0): 1.0}, "physics": {}}}
    found = figures.agreement_of([one, other], "instruction")
    assert found.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert np.isnan(figures.agreement_of([one, other], "physics")).all()


def test_every_figure_is_drawn_twice_and_named(boards, tmp_path):
    """A bitmap and a drawing of each; judges are compared where there are several."""
    found, _ = publish.table(boards[0])
    drawn = figures.draw(boards[0], found, None, out=tmp_path) + figures.draw_judges(boards, out=tmp_path)
    names = {file.split("-", 1)[1] for file, _ in drawn}
    assert {"scaling", "ranks"} <= names and sum("judges" in name or "places" in name for name in names) == 3
    for file, words in drawn:
        assert words and (tmp_path / f"{file}.png").stat().st_size and (tmp_path / f"{file}.svg").stat().st_size
    assert figures.draw_judges(boards[:1], out=tmp_path) == []


def test_variants_are_of_the_family_of_the_model_that_they_are_made_from():
    """By whole words of their names, of those that are there."""
    names = ["motion-flow", "motion-flow-12", "motion-flow-12-sft", "motion-flower", "wan-s-sft"]
    families = ["motion-flow", "motion-flow", "motion-flow", "motion-flower", "wan-s-sft"]
    assert [figures.family_of(name, names) for name in names] == families


def grey(color):
    return float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))


def test_figures_can_be_read_without_color():
    """The grid's colors only darken; the two groups differ for every eye, and by shape; lines by marker too."""
    darkness = [grey(colormaps["Blues"](value)) for value in np.linspace(0, 1, 20)]
    assert all(one > other for one, other in itertools.pairwise(darkness))
    trained, controls = GROUPS["trained"], GROUPS["controls"]
    for kind in BLIND:
        assert np.abs(seen(kind, trained["color"]) - seen(kind, controls["color"])).max() > 0.2
    looks = list(itertools.islice(lines._looks(), 12))
    assert len({(look["marker"], str(look["linestyle"]), look["color"]) for look in looks}) == 12


def test_every_color_blindness_and_grey_leave_the_lines_apart():
    """Two of the first twelve lines differ by marker or dashes; each is dark enough on paper for all eyes."""
    for one, other in itertools.combinations(itertools.islice(lines._looks(), 12), 2):
        assert (one["marker"], str(one["linestyle"])) != (other["marker"], str(other["linestyle"]))
    for color in lines.COLORS:
        assert grey(color) < 0.45 and max(seen(kind, color) @ (0.21, 0.72, 0.07) for kind in BLIND) < 0.2


def test_sizes_are_words_and_ties_keep_their_names(tmp_path):
    """No formula stands under a logarithmic axis; two models of one place are drawn apart."""
    into = {"path_png": tmp_path / "a.png", "path_svg": tmp_path / "a.svg"}
    plots.scaling({"f": [(4.3e6, 0.1, None), (2e9, 0.5, (0.4, 0.6)), (1.4e10, 0.7, None)]}, x="n", y="s", **into)
    words = into["path_svg"].read_text()
    assert all(f"<!-- {size} -->" in words for size in ("4.3 M", "2 B", "14 B")) and "mathdefault" not in words
    assert lines._apart([0, 1e6, 1.01e6, 1e9]) == [0, 1e6, 1e9] and lines.size_words(0) == "0"
    shown = lines._beside({"a": [1.5, 1], "b": [1.5, 2]}, ["a", "b"])
    assert shown == {"a": [1.3, 1], "b": [1.7, 2]}
