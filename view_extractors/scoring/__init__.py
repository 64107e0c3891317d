"""Scores of views against the truth of rendered videos."""
