"""Changes what a base can do: trains adapters and bases, and turns them from one form into another."""
