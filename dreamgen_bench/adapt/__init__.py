"""Adapting a world model to robot videos: LoRA or full fine-tuning of whatever a card names.

clips.py       a folder of videos with instructions  -> rows, and the windows of frames that a model is shown
latents.py     windows                               -> cached latents and embeddings
questions.py   cached latents, noise                 -> what a transformer is asked, and the right answer: the contract
wan.py  cogvideox.py  hunyuan.py  hunyuan15.py  ltx.py  cosmos.py    the same for each family of pipelines
objectives.py  a pipeline class by name              -> its family's
training.py    the loop, its state on disk, resume
outcome.py     weights                               -> a card that loads as a world model
session.py     all of it in order
"""

from .recipes import PRESETS, Recipe, chosen
from .session import Adapted, run

__all__ = ["PRESETS", "Adapted", "Recipe", "chosen", "run"]
