"""The command line: listing, the statistics of anybody's table, doctor."""

import json

import pytest
from typer.testing import CliRunner

from dreamgen_bench import doctor, registry
from dreamgen_bench.cli import app
from dreamgen_bench.types import Spec, UserError

RUNNER = CliRunner()


def test_listing_gives_every_model_its_facts():
    """What a reader of a table needs to know, as JSON."""
    done = RUNNER.invoke(app, ["list", "models", "--json"])
    rows = {row["name"]: row for row in json.loads(done.output)}
    assert {"replay", "static", "wrong_instruction", "reversed", "retrieval", "wan-s"} <= set(rows)
    for row in rows.values():
        assert {"group", "adaptation", "weights", "revision", "license", "parameters"} <= set(row)


def test_an_unknown_kind_names_those_there_are():
    """A typo is answered with the choices."""
    assert RUNNER.invoke(app, ["list", "modells"]).exit_code == 2


def test_a_table_of_anybody_is_correlated(tmp_path):
    """CSV in, coefficients with intervals out."""
    table = tmp_path / "t.csv"
    table.write_text("m,s,y\n" + "".join(f"m{i},{i},{i * i}\n" for i in range(8)))
    done = RUNNER.invoke(app, ["correlate", str(table), "--score", "s", "--success", "y", "--model", "m", "--json"])
    found = json.loads(done.output)
    assert found["n_models"] == 8 and found["spearman"]["value"] == 1.0 and found["pearson"]["ci95"]
    assert "Pearson" in RUNNER.invoke(app, ["correlate", str(table), "--score", "s", "--success", "y"]).output


def test_a_column_that_is_not_there_is_an_error_of_the_user(tmp_path):
    """Exit status 2, and the columns there are."""
    table = tmp_path / "t.csv"
    table.write_text("s,y\n1,2\n")
    assert RUNNER.invoke(app, ["correlate", str(table), "--score", "S", "--success", "y"]).exit_code == 2


def test_shipped_weights_are_found_wherever_the_package_lies():
    """Relative checkpoints are inside the package."""
    for kind in ("world_models", "judges", "idms"):
        for spec in registry.specs(kind).values():
            if spec.weights == "shipped":
                assert registry.weights_of(spec).exists(), spec.name


@pytest.mark.slow
def test_doctor_finds_this_machine_fit():
    """Every required thing is there, and graphics draw."""
    found = {finding.name: finding for finding in doctor.examine()}
    assert all(f.ok for f in found.values() if not f.optional), [f for f in found.values() if not f.ok]
    assert "draws" in found["graphics"].found


def test_doctor_says_how_to_mend_graphics(monkeypatch):
    """Without GL there is one line with the cure, and no crash."""
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    found = doctor._graphics()
    assert not found.ok and "apt-get install" in found.cure


def test_two_plug_ins_of_one_name_are_refused(monkeypatch):
    """A name means one thing."""
    spec = Spec(name="static", revision="9", load="x:y", license="MIT")
    monkeypatch.setattr(registry, "_foreign", lambda kind: [spec])
    registry.specs.cache_clear()
    try:
        with pytest.raises(UserError, match="two world_models are named 'static'"):
            registry.specs("world_models")
    finally:
        registry.specs.cache_clear()


def test_a_missing_library_names_the_extra():
    """The error is the cure."""
    spec = Spec(name="x", revision="1", load="no_such_package.mod:load", license="MIT", needs="clip")
    with pytest.raises(UserError, match=r"pip install 'dreamgen-bench\[clip\]'"):
        registry.load(spec)
