"""A map of test videos: t-SNE (van der Maaten and Hinton 2008) of their features, coloured by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

COLOURS = 12
"""Number of coloured classes; if there are more, the others are grey, and the coloured ones evenly spaced."""

_SAME = 1e-6  # coordinates of unit rows
_SIZE, _MARGIN = 320.0, 8.0
_PERPLEXITY = 30.0
_DIMENSIONS = 50
#: up to this many videos, sums over all pairs are no slower than their approximation
_EXACT = 300


def collapsed(x_ND: np.ndarray) -> bool:
    """Whether all rows are the same, as exactly as unit rows of float32 can be: there is nothing to map."""
    return bool(np.ptp(x_ND, axis=0).max(initial=0.0) <= _SAME)


def embed(x_ND: np.ndarray) -> np.ndarray:
    """Places in the plane, (N, 2) in [0, 1]; the same features have the same places.

    As its authors do, the features are reduced to 50 principal components first. Features that are all the
    same (see :func:`collapsed`) have one place, the middle.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if collapsed(x_ND):
        return np.full((len(x_ND), 2), 0.5)
    x_ND = np.pad(x_ND, ((0, 0), (0, max(0, 2 - x_ND.shape[1]))))  # t-SNE begins with two components
    n, dimensions = x_ND.shape
    if n < 4:
        places_N2 = np.stack([np.arange(n), np.zeros(n)], axis=1).astype(np.float64)
    else:
        if min(n, dimensions) > _DIMENSIONS:
            x_ND = PCA(_DIMENSIONS, svd_solver="full").fit_transform(x_ND)
        perplexity = min(_PERPLEXITY, (n - 1) / 3)
        method = "exact" if n <= _EXACT else "barnes_hut"
        places_N2 = TSNE(2, perplexity=perplexity, init="pca", method=method, random_state=0).fit_transform(
            x_ND
        )
    low, high = places_N2.min(0), places_N2.max(0)
    centred_N2 = (places_N2 - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip(centred_N2 + 0.5, 0, 1))


def colours(classes: int) -> list[str]:
    """The style of each class; empty for the grey ones."""
    if classes <= COLOURS:
        return [f"class-{number}" for number in range(classes)]
    coloured = [round(index * (classes - 1) / (COLOURS - 1)) for index in range(COLOURS)]
    return [f"class-{coloured.index(number)}" if number in coloured else "" for number in range(classes)]


def draw_map(
    places_N2: np.ndarray, labels_N: np.ndarray, names: Sequence[str], styles: Sequence[str], name: str
) -> Markup:
    """One path of dots per class, the grey ones below.

    Args:
        places_N2: places in [0, 1].
        labels_N: class numbers.
        names: of the classes.
        styles: of the classes, see :func:`colours`.
        name: alternative text.
    """
    at_N2 = _MARGIN + (_SIZE - 2 * _MARGIN) * places_N2
    width = 7.0 if len(at_N2) <= 300 else 4.5
    clouds = []
    for number in sorted(range(len(names)), key=lambda number: (bool(styles[number]), number)):
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in at_N2[labels_N == number])
        clouds.append(
            Markup('<path class="cloud {}" data-class="{}" stroke-width="{}" d="{}"><title>{}</title></path>')
            .format(styles[number] or "class-other", names[number], width, dots, names[number])
        )  # fmt: skip
    return Markup(
        '<svg class="map" viewBox="0 0 {s:.0f} {s:.0f}" role="img" aria-label="{n}">{c}</svg>'
    ).format(s=_SIZE, n=name, c=Markup("").join(clouds))
