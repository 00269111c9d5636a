"""The page's files as they lie in the package."""

import hashlib
import re
from pathlib import Path

import pytest
from finished_run import SUPPLIED, finished_run

from dreamgen_bench import annotate, publish, site, submission

PAGE = Path(site.__file__).parent / "page"
LIBRARY = "a887cf42ad5b69673364c529afe8500b31dfbe3e78c2e623bee6430fc69b990f"


def test_a_page_has_its_library_at_the_named_version_with_its_licence():
    """What `make vendor` would fetch is what lies there and what index.html names; nothing else came from outside."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    name, version = re.search(r"^VENDORED := (\S+)@(\S+)$", makefile, re.M).groups()
    assert f"{name} {version}," in (PAGE / "index.html").read_text()
    assert hashlib.sha256((PAGE / "sortable.min.js").read_bytes()).hexdigest() == LIBRARY
    assert "public domain" in (PAGE / "sortable.LICENSE").read_text()
    assert {path.name for path in PAGE.iterdir()} == {*site.ASSETS, *annotate.ASSETS}


def test_the_page_names_every_script_that_it_brings_and_no_other():
    """A script that is not copied would be a page that shows nothing."""
    named = re.findall(r'<script src="([^"]+)">', (PAGE / "index.html").read_text())
    assert named[0] == "data.js" and {*named[1:]} == {name for name in site.ASSETS if name.endswith(".js")}


@pytest.fixture
def records(tmp_path):
    run = finished_run(tmp_path / "run", suite="metaworld-seen-v1", tasks=3, models=("good", "static"))
    submission.run(run, to=tmp_path / "board", given=SUPPLIED)
    return publish.load(tmp_path / "board")


@pytest.mark.slow
def test_the_published_page_is_what_the_records_give(records, tmp_path):
    """Made twice it is the same bytes; a changed figure, a missing file and a stale one are found and mended."""
    out = tmp_path / "page"
    assert site.regenerate(records, out=out, check=True) and not out.exists()
    site.regenerate(records, out=out)
    assert site.regenerate(records, out=out, check=True) == []
    drawing = next((out / "figures").glob("*.svg"))
    drawing.write_text("by hand")
    (out / "index.html").unlink()
    (out / "stale.js").write_text("old")
    changed = [str(drawing), str(out / "index.html"), str(out / "stale.js")]
    assert site.regenerate(records, out=out, check=True) == sorted(changed)
    site.regenerate(records, out=out)
    assert site.regenerate(records, out=out, check=True) == [] and not (out / "stale.js").exists()
    assert site.regenerate([], out=out, check=True)  # a page without records is stale as a whole
