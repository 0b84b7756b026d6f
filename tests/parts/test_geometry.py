"""A defect's shape in the maps that steer: an edge where a stroke is, depth and normals of its relief."""

import numpy as np

from pipelines.parts import geometry, lighting
from pipelines.parts.conditions import relief


def dent(side: int = 32, depth: float = 3.0) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return (-depth * np.exp(-(x**2 + y**2) / 40)).astype(np.float32)


def test_a_stroke_of_one_pixel_becomes_an_edge() -> None:
    black, where = np.zeros((20, 30, 3), np.float32), np.zeros((20, 30), bool)
    where[10, 3:25] = True
    sharp = geometry.into_edges(black, where, 1.0, soft=False)
    assert (sharp[..., 0] > 0).tolist() == where.tolist()
    soft = geometry.into_edges(black, where, 0.8, soft=True)
    assert soft[10, 5:20].min() > 0.5
    assert soft[9, 12].min() > 0.1
    assert soft[0].max() == 0


def test_what_edges_there_are_stay() -> None:
    map, where = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32), np.zeros((16, 16), bool)
    where[4:10, 4:10] = True
    changed = geometry.into_edges(map, where, 0.7, soft=False)
    assert (changed >= map).all()
    assert (changed[6, 6] == map[6, 6]).all()


def test_a_dent_lies_further_and_a_bump_nearer() -> None:
    level = np.full((32, 32, 3), 0.5, np.float32)
    deep = geometry.into_depth(level, dent(), 1.0)
    assert np.isclose(deep[16, 16, 0], 0.5 - geometry.SHARE)
    assert np.isclose(geometry.into_depth(level, -dent(), 0.5)[16, 16, 0], 0.5 + geometry.SHARE / 2)
    assert np.allclose(deep[0, 0], 0.5, atol=1e-3)
    assert geometry.into_depth(level, np.zeros((32, 32), np.float32), 1.0) is level


def test_normals_lean_as_the_relief_does_on_top_of_the_surface() -> None:
    flat = relief.normal_map(np.tile(np.array([0, 0, 1], np.float32), (32, 32, 1)))
    laid = relief.normals_of(geometry.into_normals(flat, dent()))
    assert np.allclose(laid, lighting.normals(dent()), atol=0.02)
    slope = lighting.normals(np.tile(np.arange(32, dtype=np.float32) * 0.5, (32, 1)))
    both = relief.normals_of(geometry.into_normals(relief.normal_map(slope), dent()))
    steps = both[16, 4:28, 0] / both[16, 4:28, 2] - slope[16, 4:28, 0] / slope[16, 4:28, 2]
    alone = lighting.normals(dent())[16, 4:28]
    assert np.allclose(steps, alone[:, 0] / alone[:, 2], atol=0.05)


def test_a_hole_is_deepest_in_its_middle() -> None:
    where = np.zeros((21, 21), bool)
    where[5:16, 5:16] = True
    deep = geometry.bowl(where)
    assert deep.argmin() == 10 * 21 + 10
    assert (deep[~where] == 0).all()
    assert not geometry.bowl(np.zeros((4, 4), bool)).any()
