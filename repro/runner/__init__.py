"""Which jobs run, in which order and where."""
