"""Side-by-side measurements: what we do against what people do without us. Never run by the tests."""
