"""All that computes; knows nothing of the page."""
