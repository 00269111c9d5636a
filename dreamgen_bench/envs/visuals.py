"""The camera: small pictures of a MuJoCo scene, fast on a CPU.

The Sawyer arm's meshes hold 67 of a Meta-World scene's 68 thousand faces, which a 64x64 picture (a pixel is about
10 mm) cannot resolve, and software GL is bound by them. So the meshes that the renderer uploads are coarsened by
vertex clustering; the model that is simulated is put back byte for byte.
"""

from __future__ import annotations

import atexit
import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from .looks import Look

CELL = 0.012
"""Edge of the clustering cell, metres: about a pixel."""
MARKER_RADIUS = 0.034
"""Of the goal marker, metres: 7 pixels at 64x64."""
MARKER_RGBA = (0.95, 0.05, 0.05, 1.0)

_UPLOADED = ("mesh_vert", "mesh_face", "mesh_facenum", "mesh_normal", "mesh_facenormal")
_OFF = ("mjRND_SHADOW", "mjRND_REFLECTION", "mjRND_SKYBOX", "mjRND_HAZE", "mjRND_FOG")


class Shape(NamedTuple):
    """Something drawn that is not in the simulator: the goal marker, or a thing that appears out of nowhere."""

    form: str  # "sphere" or "box"
    position: tuple[float, ...]  # metres
    size: float  # radius or half edge, metres
    rgba: tuple[float, float, float, float]


_alive: weakref.WeakSet[Camera] = weakref.WeakSet()


def _close_all() -> None:
    """At exit mujoco takes GL away before objects go, and every renderer would complain that it can't free itself."""
    for camera in list(_alive):
        camera.close()


class Camera:
    """Renders a model at twice the asked size and averages down: anti-aliasing that software GL gives for free."""

    def __init__(self, model: mujoco.MjModel, size: int):
        quality = model.vis.quality
        quality.offsamples, quality.shadowsize = 0, 0
        quality.numslices, quality.numstacks, quality.numquads = 12, 8, 1
        with _coarse_meshes(model):
            self._renderer = mujoco.Renderer(model, 2 * size, 2 * size)
        atexit.unregister(_close_all)
        atexit.register(_close_all)  # after mujoco's own, which the first renderer registers: the last goes first
        _alive.add(self)
        self._size = size
        self._model = model
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0  # Meta-World marks goals in many colors; ours is drawn by `_draw_marker`

    def picture(
        self, data: mujoco.MjData, look: Look, marker: np.ndarray | None = None, *, extra: Sequence[Shape] = ()
    ) -> np.ndarray:
        """The scene as the look's camera sees it, with the goal marker at `marker` (metres); uint8 [size, size, 3]."""
        head = self._model.vis.headlight
        head.ambient[:], head.diffuse[:] = look.ambient, look.diffuse
        head.specular[:] = 0.2
        camera = mujoco.MjvCamera()
        camera.lookat[:], camera.distance = look.lookat, look.distance
        camera.azimuth, camera.elevation = look.azimuth, look.elevation
        self._renderer.update_scene(data, camera=camera, scene_option=self._option)
        scene = self._renderer.scene
        for flag in _OFF:
            scene.flags[getattr(mujoco.mjtRndFlag, flag)] = 0
        if marker is not None:
            _add(scene, Shape("sphere", tuple(marker), MARKER_RADIUS, MARKER_RGBA), emission=0.4)
        for shape in extra:
            _add(scene, shape, emission=0.0)
        picture = self._renderer.render().astype(np.uint16)
        picture = picture[0::2] + picture[1::2]
        return ((picture[:, 0::2] + picture[:, 1::2]) // 4).astype(np.uint8)

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()


def _add(scene: mujoco.MjvScene, shape: Shape, *, emission: float) -> None:
    if scene.ngeom >= scene.maxgeom:
        return
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_SPHERE if shape.form == "sphere" else mujoco.mjtGeom.mjGEOM_BOX,
        np.full(3, shape.size, float),
        np.array(shape.position, float),
        np.eye(3).ravel(),
        np.array(shape.rgba, np.float32),
    )
    scene.geoms[scene.ngeom].emission = emission
    scene.ngeom += 1


@contextlib.contextmanager
def _coarse_meshes(model: mujoco.MjModel) -> Iterator[None]:
    """Within the block the model's big meshes are coarse; after it they are what they were."""
    kept = {name: getattr(model, name).copy() for name in _UPLOADED}
    try:
        for mesh in range(model.nmesh):
            if model.mesh_facenum[mesh] >= 1000 and not model.mesh_texcoordnum[mesh]:
                _coarsen(model, mesh)
        yield
    finally:
        for name, value in kept.items():
            getattr(model, name)[:] = value


def _coarsen(model: mujoco.MjModel, mesh: int) -> None:
    def span(adr: np.ndarray, num: np.ndarray) -> slice:
        return slice(int(adr[mesh]), int(adr[mesh] + num[mesh]))

    vertices = span(model.mesh_vertadr, model.mesh_vertnum)
    faces = span(model.mesh_faceadr, model.mesh_facenum)
    normals = span(model.mesh_normaladr, model.mesh_normalnum)
    vert, face, normal, facenormal = _cluster(
        model.mesh_vert[vertices].astype(float),
        model.mesh_face[faces],
        model.mesh_normal[normals].astype(float),
        model.mesh_facenormal[faces],
    )
    if not 0 < len(face) < model.mesh_facenum[mesh] or len(normal) > model.mesh_normalnum[mesh]:
        return
    model.mesh_vert[vertices.start : vertices.start + len(vert)] = vert
    model.mesh_face[faces.start : faces.start + len(face)] = face
    model.mesh_normal[normals.start : normals.start + len(normal)] = normal
    model.mesh_facenormal[faces.start : faces.start + len(face)] = facenormal
    model.mesh_facenum[mesh] = len(face)


def _cluster(
    vert: np.ndarray, face: np.ndarray, normal: np.ndarray, facenormal: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Merge the vertices of each cell into their mean and drop the faces that collapse."""
    cells = np.floor((vert - vert.min(0)) / CELL).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
    _, cell = np.unique(cells, return_inverse=True)
    count = int(cell.max()) + 1
    position = _mean_by(cell, vert, count)
    merged = cell[face].astype(np.int64)
    alive = (merged != np.roll(merged, 1, axis=1)).all(1)
    merged, source = merged[alive], facenormal[alive]
    # One face per oriented triple: the smallest index goes first.
    turn = (merged.argmin(1)[:, None] + np.arange(3)) % 3
    merged, source = np.take_along_axis(merged, turn, 1), np.take_along_axis(source, turn, 1)
    _, first = np.unique((merged[:, 0] * count + merged[:, 1]) * count + merged[:, 2], return_index=True)
    merged, source = merged[np.sort(first)], source[np.sort(first)]
    # Corners keep one normal per cell and main axis, so that edges stay sharp; this opens no cracks, since normals
    # are indexed apart from positions.
    corner = normal[source]
    axis = np.abs(corner).argmax(2)
    negative = np.take_along_axis(corner, axis[..., None], 2)[..., 0] < 0
    keys, index = np.unique(merged * 6 + axis * 2 + negative, return_inverse=True)
    mean = _mean_by(index.ravel(), corner.reshape(-1, 3), len(keys))
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    return position, merged, mean, index.reshape(merged.shape)


def _mean_by(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    total = np.stack([np.bincount(index, values[:, k], count) for k in range(3)], 1)
    return total / np.bincount(index, minlength=count)[:, None]
