"""Inverse dynamics models: a video in, pseudo-actions out."""

from ..types import Spec

DEFAULT = "waypoint-play"

SPECS = [
    Spec(
        name="waypoint-play",
        revision="bd56d8b76daa",
        load="dreamgen_bench.idms.waypoint_cnn:load",
        args={"checkpoint": "weights/waypoint-play"},
        license="Apache-2.0",
        summary="small CNN: frames to the waypoint after each step and the mean action in it; taught by play as well",
        weights="shipped",
        trained_on=(
            "sim-data teleop: pick-and-place in the lab, and the hand taken about its whole reach",
            "sim-data play: the hand taken about in the lab among the things of all behaviors, none of which is done",
        ),
    ),
    Spec(
        name="waypoint-cnn",
        revision="5a14d6db6d0a",
        load="dreamgen_bench.idms.waypoint_cnn:load",
        args={"checkpoint": "weights/waypoint-cnn"},
        license="Apache-2.0",
        summary="the same, taught by teleoperation alone",
        weights="shipped",
        trained_on=("sim-data teleop: pick-and-place in the lab, and the hand taken about its whole reach",),
    ),
    Spec(
        name="lapa-s",
        revision="924fea240fcc",
        load="dreamgen_bench.idms.lapa:load",
        args={"checkpoint": "weights/lapa-s"},
        license="Apache-2.0",
        summary="latent actions: 4 tokens of 8 codes between frames 0.4 s apart, learned without any action",
        weights="shipped",
        trained_on=("sim-data web: all behaviors, never the lab's look, no actions",),
        latent=True,
        paper="Ye et al., ICLR 2025",
    ),
]
