"""The figure of score against success: what it holds, what it says where nothing can be said, and its bytes."""

import re

import pytest
from PIL import Image

from dreamgen_bench import plots, stats


def group(*points, ci=0.1):
    """One group of correlation.json, of (model, score, success) each."""
    names = [name for name, _, _ in points]
    found = stats.agreement([x for _, x, _ in points], [y for _, _, y in points], models=names, resamples=99).json()
    found["models"] = [
        {
            "model": m,
            "score": x,
            "score_ci95": [x - ci, x + ci],
            "success": y,
            "success_ci95": [y - ci, y + ci],
        }
        for m, x, y in points
    ]
    return found


def correlation(trained, controls=()):
    """What correlation.json holds of these points."""
    groups = {"trained": group(*trained), "controls": group(*controls), "all": group(*trained, *controls)}
    return {"groups": groups}


TRAINED = [("a", 0.2, 0.1), ("b", 0.4, 0.35), ("c", 0.6, 0.5), ("d", 0.8, 0.85)]
CONTROLS = [("static", 0.1, 0.05), ("replay", 0.95, 0.9)]


@pytest.fixture
def draw(tmp_path):
    """Draws a figure; gives its PNG and its SVG."""

    def drawn(found, *, name="figure", **more):
        png, svg = tmp_path / f"{name}.png", tmp_path / f"{name}.svg"
        plots.score_vs_success(found, path_png=png, path_svg=svg, **more)
        return png, svg

    return drawn


def texts(svg):
    """The texts of a figure: matplotlib notes each one in front of its outlines."""
    return re.findall(r"<!-- (.*?) -->", svg.read_text())


def test_the_figure_names_every_model_and_every_coefficient(draw):
    """All models, both groups' agreement, and the references with their values are in the figure."""
    png, svg = draw(correlation(TRAINED, CONTROLS), references={"random (floor)": 0.07})
    found = " ".join(texts(svg))
    assert all(name in texts(svg) for name, _, _ in TRAINED + CONTROLS)
    assert "random (floor) 0.07" in found
    assert re.search(r"all models: Pearson r = 0\.\d\d \[.*\], n = 6", found)
    assert "trained only: Pearson r = 0.9" in found and "controls only: undefined" in found
    assert min(Image.open(png).size) > 600


def test_a_crowd_is_numbered_by_score_with_a_key_beside_it(draw):
    crowd = [(f"model-{i:02d}", i / 20, (i * 7 % 20) / 20) for i in range(20)]
    _, svg = draw(correlation(crowd))
    found = texts(svg)
    assert [found.count(name) for name, _, _ in crowd] == [1] * 20
    assert all(found.count(str(number)) >= 2 for number in range(1, 21))  # at its point and in the key
    assert found.index("model-19") < found.index("model-00")  # the best score first


def test_the_same_numbers_give_the_same_bytes(draw):
    """Neither the date nor an identifier drawn at random is in the files."""
    found = correlation(TRAINED, CONTROLS)
    first, second = draw(found, name="one"), draw(found, name="two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_undefined_correlation_is_written_as_such(draw):
    """Where every model succeeds alike the figure says why there is no coefficient, and draws no line."""
    _, svg = draw(correlation([(name, x, 0.5) for name, x, _ in TRAINED]))
    assert any("undefined: " in text for text in texts(svg))
    assert not any("least squares" in text for text in texts(svg))


def test_a_line_needs_four_models(draw):
    """Three points have no band; four have one."""
    few, enough = draw(correlation(TRAINED[:3]), name="few"), draw(correlation(TRAINED), name="enough")
    assert not any("least squares" in text for text in texts(few[1]))
    assert any("least squares, trained" in text for text in texts(enough[1]))


def test_groups_differ_without_color(draw):
    """Controls are hollow and of another shape than trained models."""
    trained, controls = (plots.GROUPS[name] for name in ("trained", "controls"))
    assert trained["marker"] != controls["marker"]
    assert trained["face"] != plots.PAPER == controls["face"]


def test_intervals_may_be_absent(draw):
    """A model without an interval is a point without a cross."""
    found = correlation(TRAINED)
    for points in found["groups"].values():
        points["models"] = [row | {"score_ci95": None, "success_ci95": None} for row in points["models"]]
    _, svg = draw(found)
    assert {"a", "b", "c", "d"} <= set(texts(svg))


def test_hostile_names_are_text(draw):
    """Formulas, tags, very long names and scripts that the font lacks are drawn as text, without a warning."""
    names = ["$x$", "<script>alert(1)</script>", "n" * 300, "\u202e模型\n"]
    png, svg = draw(correlation([(name, x, y) for name, (_, x, y) in zip(names, TRAINED, strict=True)]))
    text = svg.read_text()
    assert png.stat().st_size and "<script" not in re.sub(r"<!--.*?-->", "", text)
    assert "n" * 100 not in text and "\u202e" not in text
