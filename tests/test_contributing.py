"""What CONTRIBUTING promises: from nothing to a row on the board, by exactly its steps."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = "## From nothing to a row on the board"


def section():
    """The section's text."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return text.split(SECTION, 1)[1].split("\n## ", 1)[0]


def block(language):
    """The one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", section(), flags=re.S)
    return found


def do(command, folder, environment):
    """Run a command; its output, and its errors where it fails."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done.stdout


def test_the_readme_leads_to_the_section():
    """The README's link has the section's anchor."""
    anchor = SECTION.removeprefix("## ").lower().replace(" ", "-")
    assert f"CONTRIBUTING.md#{anchor}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_a_model_gets_from_nothing_to_a_row_on_the_board(tmp_path):
    """The files and the commands of CONTRIBUTING, in their order, end with a ranked row and tables that check."""
    (tmp_path / "mine.py").write_text(block("python"))
    (tmp_path / "setup.cfg").write_text(block("ini"))
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    (tmp_path / "leaderboards").mkdir()
    site = tmp_path / "installed"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "HF_HUB_OFFLINE": "1"}
    # Into a folder of its own and without a package index; otherwise the `pip install .` that is written there.
    how = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check", "--target", str(site)]
    do([sys.executable, "-m", "pip", "install", *how, "."], tmp_path, environment)
    for line in block("sh").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "dreamgen-bench"
        do([sys.executable, "-W", "ignore", "-m", "dreamgen_bench", *arguments], tmp_path, environment)
    (record,) = (tmp_path / "leaderboards/records/metaworld-seen-v1").glob("mine-*.json")
    told = do([sys.executable, "-m", "dreamgen_bench", "submit", "--check", str(record)], tmp_path, environment)
    assert "mine on metaworld-seen-v1" in told
    page = (tmp_path / "leaderboards/metaworld-seen-v1/README.md").read_text("utf-8")
    assert re.search(r"\| 1 \| mine \| trained, zero \|", page)
