"""Latent actions fill the IDM's slot: a width of their own, kept, never replayed, and a policy learns from them."""

from dataclasses import replace

import numpy as np
import pytest

from dreamgen_bench import evaluate, label, loop, registry
from dreamgen_bench.idms import checkpoint, lapa
from dreamgen_bench.types import LABELS, Spec, Task, Trajectory, TrajectoryRecord, UserError, Video, VideoRecord
from dreamgen_bench.video import encode

LATENT = Spec(name="latent", revision="1", load="", license="", latent=True)


def video(length: int, *, seed: int = 0, size: int = 32) -> Video:
    frames = np.random.default_rng(seed).integers(0, 255, (length, size, size, 3), dtype=np.uint8)
    return Video(frames=frames, fps=10)


@pytest.fixture(scope="module")
def model():
    import torch

    torch.manual_seed(0)
    return lapa.LatentActionModel(lapa.network(lapa.SMALL), lapa.SMALL)


def test_nothing_moving_is_no_action(model):
    """Equal frames give zero, whatever the weights; the other order gives the opposite."""
    still = Video(frames=np.repeat(video(1).frames, 6, 0), fps=10)
    assert np.abs(next(model.label([still]))).max() < 1e-5
    import torch

    one, two = torch.rand(2, 3, 3, 32, 32)
    torch.testing.assert_close(model._net.encode(one, two), -model._net.encode(two, one))


def test_codes_are_the_nearest_and_the_substitute_is_as_far_off_as_they_are(model):
    """NSVQ: noise of the quantization error's length stands for the error."""
    import torch

    embedded = torch.randn(5, 4, lapa.SMALL.dim) * 0.1
    codes, vectors = model._net.quantize(embedded)
    every = (embedded[:, :, None] - model._net.codebook).norm(dim=-1)
    assert torch.equal(codes, every.argmin(-1))
    stand_in = model._net.substitute(embedded, vectors)
    torch.testing.assert_close((stand_in - embedded).norm(dim=-1), (vectors - embedded).norm(dim=-1))


def test_the_codebook_learns_through_the_substitute(model):
    """The noise carries a gradient to codes and encoder alike."""
    import torch

    net = lapa.network(lapa.SMALL)
    embedded = net.encode(*torch.rand(2, 2, 3, 32, 32))
    out = net.decode(torch.rand(2, 3, 32, 32), net.substitute(embedded, net.quantize(embedded)[1]))
    out.square().mean().backward()
    assert net.codebook.grad.abs().sum() > 0 and net.compare[0][0].weight.grad.abs().sum() > 0


def test_what_is_saved_is_what_is_loaded(model, tmp_path):
    """Up to the half precision in which it is kept."""
    checkpoint.save(model._net, lapa.SMALL, tmp_path, trained={})
    again = lapa.load(str(tmp_path))
    clip = video(9, size=64)
    assert again.columns == model.columns and len(again.columns) == 128
    np.testing.assert_allclose(next(again.label([clip])), next(model.label([clip])), atol=1e-2)
    assert again.used(clip).shape == (8, 4)
    (tmp_path / "config.json").write_text('{"model": {"size": 32}}')
    with pytest.raises(UserError, match="no lapa-s checkpoint"):
        lapa.load(str(tmp_path))


# The slot


def labeled(tmp_path, spec: Spec, model) -> list[TrajectoryRecord]:
    rows = []
    for seed in range(3):
        (tmp_path / f"{seed}.mp4").write_bytes(encode(video(6, seed=seed, size=64)))
        fields = {"suite": "s", "suite_digest": "", "task": f"t{seed}", "model": "m", "revision": "1", "seed": seed}
        rows.append(VideoRecord(key=f"k{seed}", status="ok", file=f"{seed}.mp4", sha256=f"{seed}", **fields))
    label.run(rows, spec, lambda: model, out=tmp_path)
    from dreamgen_bench.store import RecordFile

    return list(RecordFile(tmp_path / "trajectories.jsonl", TrajectoryRecord).read().values())


def test_latent_labels_keep_their_own_width(model, tmp_path):
    """The record says that they are latent, and the array has a column for each number."""
    records = labeled(tmp_path, LATENT, model)
    assert all(record.status == "ok" and record.latent for record in records)
    assert np.load(tmp_path / records[0].file).shape == (5, 128)


def test_an_idm_that_does_not_say_so_must_keep_the_contract(model, tmp_path):
    """A width of one's own is for those whose Spec says latent."""
    records = labeled(tmp_path, replace(LATENT, latent=False), model)
    assert {record.status for record in records} == {"idm_error"} and "[5, 128]" in records[0].reason


def test_latent_actions_are_not_replayed_and_that_is_counted(model, tmp_path):
    """No episode, hence no `executable` of 0: the summary says how many were not applicable."""
    records = labeled(tmp_path, LATENT, model)
    tasks = {
        ("s", r.task): Task(
            id=r.task, suite="s", instruction="", first_frame=tmp_path, num_frames=6, fps=10, state={"seed": 1}
        )
        for r in records
    }
    summary = evaluate.replay(records, tasks, lambda *a, **k: pytest.fail("a simulator was made"), out=tmp_path)
    assert summary.planned == 3 and summary.failed == {"not_applicable": 3} and summary.done == 0
    assert not (tmp_path / "episodes.jsonl").exists()


class Picky:
    """Refuses the second video that it is given."""

    def label(self, videos):
        for number, clip in enumerate(videos):
            if number == 1:
                raise UserError("too slow")
            yield np.zeros((len(clip.frames) - 1, len(LABELS)), np.float32)


def test_a_video_that_is_refused_costs_the_others_nothing(tmp_path):
    """It is recorded as the IDM's error, with the reason."""
    records = labeled(tmp_path, replace(LATENT, latent=False), Picky())
    assert [record.status for record in records] == ["ok", "idm_error", "ok"]
    assert records[1].reason == "too slow" and records[1].file is None


def test_a_policy_that_cannot_learn_from_latent_actions_is_refused(tmp_path):
    """Before anything is dreamed; the error names the one that can."""
    latent = [spec.name for spec in registry.specs("idms").values() if spec.latent]
    for name in latent:
        chosen = {"suites": ("metaworld-behavior-v1",), "models": ("static",), "out": tmp_path, "idm": name}
        with pytest.raises(UserError, match="latent-then-actions"):
            loop.check(loop.Run(**chosen))
        loop.check(loop.Run(**chosen, policy="latent-then-actions"))
        loop.check(loop.Run(**chosen, downstream=False))


# The policy


def trajectories(count: int, *, latent: bool) -> list[Trajectory]:
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        frames = rng.integers(120, 130, (6, 64, 64, 3), dtype=np.uint8)
        labels = np.full((5, 12 if latent else 8), number % 2, np.float32)
        words = ("go left", "go right")[number % 2]
        made.append(Trajectory(frames=frames, labels=labels, instruction=words, latent=latent))
    return made


def test_a_policy_starts_from_what_latent_actions_taught_it(tmp_path):
    """The same real trajectories give another policy with latent ones before them, and the same one twice."""
    fit = registry.fitter(registry.find("policies", "latent-then-actions"))
    real, latent = trajectories(4, latent=False), trajectories(4, latent=True)
    weights = [
        (fit(given, seed=0, out=tmp_path / str(place), steps=3) / "model.safetensors").read_bytes()
        for place, given in enumerate((real, latent + real, latent + real))
    ]
    assert weights[1] == weights[2] != weights[0]


def test_latent_actions_alone_move_no_robot(tmp_path):
    """Nothing says what a latent action is; and other recipes refuse them outright."""
    latent = trajectories(2, latent=True)
    fit = registry.fitter(registry.find("policies", "latent-then-actions"))
    with pytest.raises(UserError, match="all trajectories are latent"):
        fit(latent, seed=0, out=tmp_path, steps=1)
    for spec in registry.specs("policies").values():
        if spec.fit and not spec.latent:
            with pytest.raises(UserError, match="latent"):
                registry.fitter(spec)(latent, seed=0, out=tmp_path, steps=1)
