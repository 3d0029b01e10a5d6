"""One evaluation: predictions, counts, boundary regions, dense CRF, receptive fields."""
