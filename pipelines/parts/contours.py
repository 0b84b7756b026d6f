"""Masks as closed contours, exact to the pixel, and as boxes. Knows no file format.

Most formats that hold polygons disagree on what a coordinate is: an index of a pixel, or a place on the plane whose
pixel k spans k to k + 1. So the caller says where inside its pixel an edge is drawn.
"""

import cv2
import numpy as np


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a bool HxW mask that is not empty; right and bottom are just past the last pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def polygons(mask: np.ndarray, near: float, far: float) -> list[np.ndarray]:
    """One closed polygon (N x 2, float64, x before y) for each part of a bool HxW mask that hangs together.

    Pixels that touch at a corner hang together. An edge on the left or top side of pixel k lies at k + near, on the
    right or bottom side at k + far. (0, 1) is the plane: area and pixels are exact. (0.05, 0.45) stays inside pixel k
    whether a reader rounds or truncates, so that its filled polygon is the mask again, and a line one pixel thin still
    has an area. A hole is joined to the rest by a cut of no width: one polygon can say it in no other way.
    """
    left, top, right, bottom = box(mask)
    # At twice the size every pixel has a near and a far side, so that even a single one is a contour of four corners.
    twice = mask[top:bottom, left:right].astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    chains, tree = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points = [chain.reshape(-1, 2) for chain in chains]
    parents = tree.reshape(-1, 4)[:, 3]
    found = []
    for index in np.flatnonzero(parents < 0):
        holes = [points[hole] for hole in np.flatnonzero(parents == index)]
        chain = _joined(points[index], holes, twice) if holes else points[index]
        found.append(_tidy(np.where(chain % 2 == 0, near, far) + chain // 2 + np.array([left, top])))
    return found[::-1]  # findContours begins at the bottom; people read from the top


def _joined(outer: np.ndarray, holes: list[np.ndarray], twice: np.ndarray) -> np.ndarray:
    """The outer chain with its holes in it. From each hole's leftmost point a cut runs left to the next edge.

    Beginning with the leftmost hole, that edge belongs to the outer chain or to a hole that is joined already.
    """
    for hole in sorted(holes, key=lambda chain: int(chain[:, 0].min())):
        start = int(np.argmin(hole[:, 0]))
        x, y = hole[start]
        outside = np.flatnonzero(twice[y, :x] == 0)
        edge = outside[-1] + 1 if len(outside) else 0
        at = int(np.flatnonzero((outer[:, 0] == edge) & (outer[:, 1] == y))[0])
        around = np.concatenate([hole[start:], hole[: start + 1]])
        outer = np.concatenate([outer[: at + 1], around, outer[at:]])
    return outer


def _tidy(chain: np.ndarray) -> np.ndarray:
    """Without doubled points, and without those in the middle of a straight edge."""
    chain = chain[(chain != np.roll(chain, 1, axis=0)).any(axis=1)]
    before, after = chain - np.roll(chain, 1, axis=0), np.roll(chain, -1, axis=0) - chain
    on = ((before == 0) & (after == 0)).any(axis=1) & ((before * after).sum(axis=1) > 0)
    return chain[~on]
