"""One training: optimizer, loss, checkpoints, processes."""
