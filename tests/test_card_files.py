"""The files of cards: strict, and what is wrong is said with file, key and choices."""

from pathlib import Path

import pytest
import yaml

from dreamgen_bench.types import UserError
from dreamgen_bench.world_models import diffusers_i2v
from dreamgen_bench.world_models.card import spec_of

FOLDER = Path(diffusers_i2v.__file__).parent / "cards"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hight": 3}, "unknown key 'hight' .did you mean 'height'"),
        ({"width": None}, "width is None"),
        ({"offload": "disk"}, "offload is 'disk'; it can be none, model, sequential"),
        ({"offload": "model"}, "offload is .model. with device cpu"),
        ({"memory_gib": "much"}, "memory_gib is 'much'"),
        ({"lora": {"checkpoint": "a/b"}}, "lora: unknown or missing key 'revision'"),
        ({"group": "control"}, "group is 'control'; it can be trained, card"),
    ],
)
def test_a_wrong_card_is_refused_by_file_key_and_choices(changes, message, tmp_path):
    """Before anything is loaded."""
    card = yaml.safe_load((FOLDER / "wan-s.yaml").read_text()) | changes
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(UserError, match="x.yaml: " + message):
        spec_of(tmp_path / "x.yaml")


def test_a_missing_key_is_named(tmp_path):
    """And so are all that a card must say."""
    card = yaml.safe_load((FOLDER / "wan-s.yaml").read_text())
    del card["checkpoint"]
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(UserError, match="missing key 'checkpoint'; a card must say adaptation, call, checkpoint"):
        spec_of(tmp_path / "x.yaml")
