"""Who may import whom, and what must stay light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dreamgen_bench"
PLUGINS = {"world_models", "judges", "idms", "policies", "envs", "rubrics"}
STAGES = {"generate", "judge", "label", "train", "evaluate"}
LEAVES = {"types", "version"}
ALLOWED = {
    "registry": LEAVES,
    "stats": {"agreement"},
    "agreement": {"coefficients"},
    "coefficients": set(),
    "crossed": {"stats"},
    "noise": {"agreement", "coefficients", "crossed"},
    "confounds": set(),
    "measured": LEAVES | {"noise", "store"},
    "metrics": LEAVES,
    "planted": {"agreement", "crossed", "noise", "stats"},
    "store": LEAVES,
    "video": LEAVES,
    "rows": LEAVES,
    "wire": LEAVES,
    "serve": LEAVES | {"generate", "store", "video", "wire"},
    "suites": LEAVES | {"registry", "rows"},
    "correlate": LEAVES | {"confounds", "measured", "noise", "stats", "agreement", "store"},
    "scores": LEAVES | {"crossed", "stats"},
    "reliability": set(),
    "corrected": LEAVES | {"stats"},
    "anchors": LEAVES | {"judge", "store"},
    "ground_truth": LEAVES | {"envs", "suites", "video"},
    "judge_board": LEAVES | {"store"},
    "labels": LEAVES | {"registry", "rows", "suites", "video"},
    "validation": LEAVES | {"agreement", "anchors", "corrected", "judge", "labels", "reliability", "store"},
    "health": LEAVES | {"codebook", "envs", "reliability", "validation"},
    "codebook": LEAVES | {"reliability", "validation"},
    "record": LEAVES | {"scores"},
    "archive": LEAVES | {"record", "suites"},
    "serving": LEAVES,
    "serve_policy": LEAVES | {"policies", "registry", "store"},
    "annotate": LEAVES | {"store", "video"},
    "preferences": LEAVES | {"annotate", "stats", "store"},
    **{stage: LEAVES | {"suites", "store", "video"} for stage in STAGES},
}


def imported(path: Path) -> set[str]:
    """Top-level names of our own modules that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text("utf-8"))
    level = len(path.relative_to(PACKAGE).parts)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == level:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dreamgen_bench."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("dreamgen_bench.")}
    return found


@pytest.mark.parametrize("module", ALLOWED)
def test_a_module_imports_only_what_its_layer_may(module):
    """Stages meet on disk, statistics know no files, and nobody reaches up."""
    assert imported(PACKAGE / f"{module}.py") <= ALLOWED[module]


@pytest.mark.parametrize("kind", sorted(PLUGINS))
def test_plug_ins_import_types_video_and_registry_only(kind):
    """A plug-in never calls a stage. Controls of the sim track may use the simulator; a served model, its contract."""
    extra = {"video"} | ({"envs", "wire"} if kind == "world_models" else set())
    for path in (PACKAGE / kind).glob("*.py"):
        assert imported(path) <= {"types", "registry"} | extra, path


def test_adapting_knows_cards_and_files_and_no_stage():
    """It makes world models, and leaves scoring them to others; nobody but the command line knows it."""
    may = {"types", "registry", "rows", "store", "video", "plots", "world_models"}
    for path in (PACKAGE / "adapt").glob("*.py"):
        assert imported(path) <= LEAVES | may, path
    users = {path for path in PACKAGE.rglob("*.py") if "adapt" in imported(path) and path.parent.name != "adapt"}
    assert {path.relative_to(PACKAGE).parts[0] for path in users} == {"cli"}


def test_exporting_knows_what_policies_are_trained_on_and_nothing_of_training():
    """Layouts know clips; one module knows run folders."""
    for path in (PACKAGE / "export").glob("*.py"):
        more = {"downstream", "loop", "video"} if path.name == "source.py" else set()
        assert imported(path) <= LEAVES | {"registry", "store"} | more, path


def test_studies_use_stages_and_nobody_but_the_command_line_uses_studies():
    """A study hands out work and reads records; it is no part of the loop."""
    users = {path for path in PACKAGE.rglob("*.py") if "studies" in imported(path) and path.parent.name != "studies"}
    assert {path.relative_to(PACKAGE).parts[0] for path in users} == {"cli"}
    for path in (PACKAGE / "studies").glob("*.py"):
        assert not {"world_models", "idms", "policies", "judges", "cli"} & imported(path), path


def test_only_plots_draws():
    """One folder knows the plotting library, and knows nothing but numbers."""
    users = [p for p in PACKAGE.rglob("*.py") if re.search(r"^\s*(import|from) matplotlib", p.read_text("utf-8"), re.M)]
    assert users and {path.parent.name for path in users} == {"plots"}
    for path in (PACKAGE / "plots").glob("*.py"):
        assert imported(path) <= LEAVES | {"stats", "standings"}, path


def test_only_the_command_line_prints():
    """Everything else returns values."""
    for path in PACKAGE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_nothing_imports_baselines_or_tests():
    """How things were trained is never needed to use them."""
    for path in PACKAGE.rglob("*.py"):
        assert not {"baselines", "tests"} & {name.split(".")[0] for name in imported(path)}, path


@pytest.mark.parametrize("code", ["import dreamgen_bench", "from dreamgen_bench.cli import main; main()"])
def test_listing_loads_no_torch_and_no_simulator(code):
    """`import dreamgen_bench` and `dreamgen-bench list` are instant on any machine."""
    script = f"import sys; sys.argv = ['dreamgen-bench', 'list']\ntry:\n    {code}\nexcept SystemExit as e:\n"
    script += "    assert not e.code\nheavy = {'torch', 'matplotlib', 'mujoco', 'diffusers', 'transformers'}\n"
    script += "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_stay_short():
    """Four hundred lines are a room; more is a hall."""
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400, path
