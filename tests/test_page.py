"""The page's files as they lie in the package."""

import hashlib
import re
from pathlib import Path

from dreamgen_bench import annotate, site

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
