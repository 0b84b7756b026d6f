"""Chance as a pure function of seed and step: a training that is taken up again draws what it would have drawn.

No state is carried from step to step, so none has to be saved, and none can be lost.
"""

import hashlib

import torch


def generator(seed: int, step: int, what: str = "", rank: int = 0) -> torch.Generator:
    """The source of everything random at a step, on the CPU, so that it is the same on every machine.

    `what` tells apart what is drawn independently in one step, `rank` the processes of one training.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{what}/{rank}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def picked(seed: int, step: int, batch: int, count: int) -> list[int]:
    """Which of `count` samples make up the batch of a step: each once before any comes again, in an order of its own
    every time round.
    """
    places = range(step * batch, (step + 1) * batch)
    orders = {
        turn: torch.randperm(count, generator=generator(seed, turn, "order")) for turn in {p // count for p in places}
    }
    return [int(orders[place // count][place % count]) for place in places]
