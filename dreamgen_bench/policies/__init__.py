"""Policies: an observation in, a chunk of waypoints out."""

from ..types import Spec

SPECS = [
    Spec(
        name="bc-chunk",
        revision="1",
        load="dreamgen_bench.policies.bc_chunk:load",
        fit="dreamgen_bench.policies.bc_chunk:fit",
        license="Apache-2.0",
        summary="language-conditioned behavior cloning with action chunks, from pictures alone",
    ),
    Spec(
        name="bc-chunk-long",
        revision="1",
        load="dreamgen_bench.policies.bc_chunk:load",
        fit="dreamgen_bench.policies.bc_chunk:fit_long",
        license="Apache-2.0",
        summary="bc-chunk with four times the steps: for suites of many behaviors",
    ),
    Spec(
        name="diffusion",
        revision="1",
        load="dreamgen_bench.policies.diffusion:load",
        fit="dreamgen_bench.policies.diffusion:fit",
        license="Apache-2.0",
        summary="language-conditioned diffusion policy over chunks of waypoints, from pictures alone",
        paper="Chi et al., RSS 2023",
    ),
    Spec(
        name="latent-then-actions",
        revision="1",
        load="dreamgen_bench.policies.bc_chunk:load",
        fit="dreamgen_bench.policies.latent_then_actions:fit",
        license="Apache-2.0",
        summary="bc-chunk that first learns to name latent actions, then is fitted to real ones",
        latent=True,
        paper="Ye et al., ICLR 2025",
    ),
    Spec(
        name="random",
        revision="1",
        load="dreamgen_bench.policies.random_waypoints:load",
        license="Apache-2.0",
        summary="uniform waypoints: the floor",
    ),
]


def served(name: str, address: str) -> Spec:
    """The spec of what is served at ws://HOST:PORT."""
    from .websocket import spec

    return spec(name, address)
