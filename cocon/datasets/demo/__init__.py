"""The embedded demo data set: ten human actions, rendered on the spot with their true pose, mask and flow.

Importing this package is cheap; the renderer and its compiler are loaded by the first clip.
"""

from cocon.datasets.demo.dataset import ACTIONS, list_videos, render, truth_path

__all__ = ["ACTIONS", "list_videos", "render", "truth_path"]
