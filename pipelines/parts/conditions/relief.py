"""What depth and normal maps look like to a ControlNet: heights and normals into [0, 1], and back.

Heights are in pixels; normals are unit vectors in the axes of `parts/lighting`: x right, y down, z to the camera. Knows
nothing of pictures nor of who measured the height.
"""

import numpy as np

ENDS = (0.01, 0.99)
"""Between which quantiles of the heights a depth map runs from black to white: one speck must not grey the rest."""
LEAST = 0.002
"""Share of the picture's long side that a full range stands for at least: a sheet's grain is no mountain range."""
FACING = -1.0, -1.0, 1.0
"""From our axes to NormalBae's: red is left, green is up, blue is to the camera.

Read off the authors' own figure (baegwangbin/surface_normal_uncertainty, figs/readme_scannet.png): what faces up is
green, what faces the left edge is pink, a wall on the left that faces right has no red. controlnet_aux (normalbae)
writes the network's answer as (n + 1) / 2 without turning it; control_v11p_sd15_normalbae learnt from that.
"""


def depth_map(height: np.ndarray) -> np.ndarray:
    """float32 HxW in [0, 1] of a height HxW in pixels: near is bright, as MiDaS writes it; a flat one is 0.5."""
    height = np.nan_to_num(np.asarray(height, np.float32), posinf=0, neginf=0)
    low, high = np.quantile(height, ENDS).tolist()
    span = max(high - low, LEAST * max(height.shape))
    return np.clip(0.5 + (height - np.float32((low + high) / 2)) / np.float32(span), 0, 1).astype(np.float32)


def normal_map(normals: np.ndarray) -> np.ndarray:
    """float32 HxWx3 in [0, 1] of unit normals: the colours of NormalBae; what faces the camera is (0.5, 0.5, 1)."""
    turned = np.asarray(normals, np.float32) * np.array(FACING, np.float32)
    return np.clip((np.nan_to_num(turned) + 1) / 2, 0, 1).astype(np.float32)


def normals_of(map: np.ndarray) -> np.ndarray:
    """Unit normals float32 HxWx3 with z > 0 of a normal map in [0, 1], whatever was painted into it."""
    found = (np.asarray(map, np.float32) * 2 - 1) * np.array(FACING, np.float32)
    found[..., 2] = np.maximum(found[..., 2], 1e-3)
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True), np.float32)
