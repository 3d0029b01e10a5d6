"""Figures 1 to 6 and the plots that the paper lacks: one module each, from plain values to a matplotlib figure."""
