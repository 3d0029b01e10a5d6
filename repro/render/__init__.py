"""Rendered outputs: Markdown, LaTeX, HTML, CSV, JSON and figures."""
