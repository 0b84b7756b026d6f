"""Masks without painting: shapes of real defects or of brushes, laid where a defect may lie.

    placer = placing.Placer(request, placing.load(...))
    placed = placer.draw(placing.area(pixels, request.where).mask, seed=7)

What is drawn follows from the seed and the area alone, so masks can be made one by one, in any order. Knows no run.
"""

from pipelines.parts.placing.placer import Placed, Placer
from pipelines.parts.placing.real import Piece, Real, load, measure
from pipelines.parts.placing.regions import Area, area

__all__ = ["Area", "Piece", "Placed", "Placer", "Real", "area", "load", "measure"]
