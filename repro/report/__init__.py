"""Tables and pages from records: ``python -m repro.report``."""
