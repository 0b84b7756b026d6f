"""The wing that looks after data sets. Knows nothing of making pictures or of training."""
