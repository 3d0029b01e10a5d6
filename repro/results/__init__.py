"""Records, scores, intervals and verdicts: numpy, no torch."""
