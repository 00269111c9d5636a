"""What the figures of a board show, and that they are told apart without color."""

import itertools

import numpy as np
import pytest
from finished_run import finished_run
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from dreamgen_bench import figures, publish, submission
from dreamgen_bench.plots import GROUPS, lines

SUITE = "metaworld-seen-v1"
# Linear RGB of what somebody without the middle cones sees (Machado, Oliveira and Fernandes 2009, severity 1).
DEUTERANOPE = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])


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


def seen(color):
    """A color as a deuteranope sees it, 0-1."""
    return np.clip(DEUTERANOPE @ np.array(to_rgb(color)), 0, 1)


def grey(color):
    return float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))


def test_figures_can_be_read_without_color():
    """The grid's colors only darken; the two groups differ for a deuteranope and by shape; lines by marker too."""
    darkness = [grey(colormaps["Blues"](value)) for value in np.linspace(0, 1, 20)]
    assert all(one > other for one, other in itertools.pairwise(darkness))
    trained, controls = GROUPS["trained"], GROUPS["controls"]
    assert np.abs(seen(trained["color"]) - seen(controls["color"])).max() > 0.3
    looks = list(itertools.islice(lines._looks(), 12))
    assert len({(look["marker"], str(look["linestyle"]), look["color"]) for look in looks}) == 12
