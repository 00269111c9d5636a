"""One thread, no network, no screen: the same for every test."""

import os

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
