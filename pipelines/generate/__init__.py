"""The wing that makes pictures. Knows nothing of training or of data sets."""
