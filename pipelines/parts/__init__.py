"""The shelves: one file a kind of thing, its dict at the bottom. They know the ground (core), never a wing."""
