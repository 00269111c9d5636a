"""Acme's world model: the first frame drowns in noise."""

from dreamgen_bench import Spec

SPECS = [
    Spec(
        name="acme-fog",
        revision="0.3",
        load="acme_worlds.fog:load",
        args={"thickness": 0.5},
        license="MIT",
        summary="the first frame drowns in noise",
        group="trained",
    )
]
