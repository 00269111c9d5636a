"""One thread, no network, no screen: the same for every test."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MUJOCO_GL", "egl")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Kind -> a card of that pipeline class built small, to be adapted; each is built once."""
    from small_adaptations import small_cards

    return small_cards(tmp_path_factory.mktemp("cards"))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data folder of three clips, to be read only."""
    from small_adaptations import folder_of

    return folder_of(tmp_path_factory.mktemp("data") / "clips")


@pytest.fixture
def guarded(monkeypatch):
    """What Cosmos needs and this environment lacks: a guardrail that passes all, and two functions of torchvision."""
    import diffusers.models.transformers.transformer_cosmos as transformer
    import diffusers.pipelines.cosmos.pipeline_cosmos2_5_predict as cosmos25
    import diffusers.pipelines.cosmos.pipeline_cosmos2_video2world as cosmos2
    import tiny_pipelines
    import torch

    def resize(picture, size, interpolation):
        return torch.nn.functional.interpolate(picture, size, mode=interpolation)

    def to_tensor(picture):
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255

    functional = SimpleNamespace(resize=resize, to_tensor=to_tensor)
    transforms = SimpleNamespace(functional=functional, InterpolationMode=SimpleNamespace(NEAREST="nearest"))
    monkeypatch.setattr(transformer, "transforms", transforms, raising=False)
    monkeypatch.setattr(cosmos25, "torchvision", SimpleNamespace(transforms=transforms), raising=False)
    for module in (cosmos2, cosmos25):
        monkeypatch.setattr(module, "CosmosSafetyChecker", tiny_pipelines.Guardrail)
