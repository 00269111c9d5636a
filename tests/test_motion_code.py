"""Motion-code world models: networks built small, saved, and loaded by the adapter; the shelf and its files."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dreamgen_bench import registry
from dreamgen_bench.testing import check_world_model, toy_suite
from dreamgen_bench.types import UserError
from dreamgen_bench.world_models import motion_code
from dreamgen_bench.world_models import motion_movers as movers
from dreamgen_bench.world_models import motion_networks as networks

WORDS = ["do", "thing"]


def write(network, path, **said):
    """Weights as the recipe leaves them."""
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, {name: str(value) for name, value in said.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A renderer and a mover of each kind, random and small, and what LoRA added to one of them."""
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("motion")
    write(networks.Renderer(), where / "renderer.safetensors")
    write(networks.LabRenderer(), where / "renderer-full.safetensors")
    for kind, network in movers.MOVERS.items():
        mover = network(len(WORDS) + 2, 32, 1)
        mover.register_buffer("mean", torch.zeros(networks.CODE))
        mover.register_buffer("spread", torch.ones(networks.CODE))
        said = {"kind": kind, "width": 32, "depth": 1, "vocabulary": json.dumps(WORDS)}
        write(mover, where / f"{kind}.safetensors", **said)
    changed = networks.with_lora(movers.Regression(len(WORDS) + 2, 32, 1), 2)
    with torch.no_grad():
        for weight in changed.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.3)
    added = {name: value.contiguous() for name, value in networks.lora_of(changed).items()}
    save_file(added, where / "regression-sft.safetensors", {"rank": "2"})
    return where


@pytest.mark.parametrize("renderer", ["renderer", "renderer-full"])
@pytest.mark.parametrize("kind", movers.MOVERS)
def test_every_kind_keeps_the_contract(kind, renderer, folder, tmp_path):
    """Order, count, length, size, seed, batch, first frame; what says that it is deterministic is."""
    model = motion_code.load(folder=str(folder), mover=kind, renderer=renderer)
    tasks = toy_suite(tmp_path / "toy", tasks=3, size=64, num_frames=17).tasks
    check_world_model(model, tasks, stochastic=kind != "regression")


def test_what_lora_added_changes_the_video_and_must_fit(folder, tmp_path):
    """An adapted model is another one; what was learnt for another network is refused."""
    task = toy_suite(tmp_path / "toy", tasks=1, size=64, num_frames=17).tasks[0]
    models = [
        motion_code.load(folder=str(folder), mover="regression", renderer="renderer", mover_lora=lora)
        for lora in ("", "regression-sft")
    ]
    plain, adapted = (next(model.generate([task], seed=0)) for model in models)
    assert (plain.frames[1:] != adapted.frames[1:]).any()
    with pytest.raises(UserError, match="regression-sft.*another network"):
        motion_code.load(folder=str(folder), mover="flow", renderer="renderer", mover_lora="regression-sft")


def test_weights_that_are_not_there_name_their_recipe(folder):
    """Models of the shelf that are not shipped can be listed, and say how they are made."""
    with pytest.raises(UserError, match="baselines/motion-s/run.sh"):
        motion_code.load(folder=str(folder), mover="flow-4", renderer="renderer")


def test_words_are_read_and_unknown_ones_keep_their_place():
    """0 pads, 1 is unknown; a text of any length fits."""
    known = {"open": 2, "drawer": 3}
    read = movers.numbers("Open the DRAWER!", known)
    assert read[:4] == [2, 1, 3, 0] and len(read) == movers.WORDS
    assert len(movers.numbers("open " * 400, known)) == movers.WORDS


def test_the_shelf_quotes_the_digest_of_what_is_shipped():
    """Other weights are another revision: a record can never name a model that it was not."""
    where = motion_code.HERE / motion_code.SHELF
    rows = json.loads((where / "shelf.json").read_text("utf-8"))
    shipped = [row for row in rows if row["weights"] == "shipped"]
    for row in shipped:
        data = b"".join((where / file).read_bytes() for file in row["files"])
        assert row["revision"] == hashlib.sha256(data).hexdigest()[:12], row["name"]
    assert shipped and {row["name"] for row in rows} <= set(registry.specs("world_models"))


def test_a_point_is_drawn_where_it_is():
    """y, x in -1..1: the spot's brightest pixel is the nearest one."""
    spot = networks.spots(torch.tensor([[[-1.0, 1.0], [0.0, 0.0]]]), 17)[0]
    assert [np.unravel_index(int(each.argmax()), (17, 17)) for each in spot] == [(0, 16), (8, 8)]


def test_the_labs_arm_is_drawn_where_the_hand_is_and_nothing_else_changes():
    """Where it covers nothing the renderer's picture stays; where it covers all, its own colors are seen."""
    torch.manual_seed(0)
    renderer = networks.LabRenderer().eval()
    first, codes = torch.rand(1, 3, 64, 64), torch.randn(1, 2, networks.CODE)
    with torch.no_grad():
        behind, (color, cover) = renderer.scene(first, codes), renderer.arm(codes[..., networks.SHOWN :])
        for bias, seen in ((-40.0, behind), (40.0, color)):
            renderer.arm.draw[-2].bias[12:] = bias  # of the four pixels of a cell, what they cover
            assert torch.equal(renderer(first, codes), renderer(first, codes))
            torch.testing.assert_close(renderer(first, codes), seen, atol=1e-5, rtol=0)
    assert cover.shape == (1, 2, 1, 64, 64)


def test_hands_are_said_between_minus_one_and_one_within_reach():
    """The ends of the reach are the ends of the numbers."""
    torch.testing.assert_close(networks.reached(torch.tensor(networks.REACH)), torch.tensor([[-1.0] * 4, [1.0] * 4]))
