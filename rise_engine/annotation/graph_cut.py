"""Segment an object by a graph cut on colours and edges, from an initial mask (GrabCut, Rother et al. 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

Mask = NDArray[np.bool_]
Field = NDArray[np.float64]

COLOURS = 5
"""Gaussians in each colour model."""
ROUNDS = 3
KMEANS_ROUNDS = 6
SMOOTHNESS = 10.0
COLOUR_NOISE = 8.0
"""Variance added to each Gaussian, in Lab units, so that a uniform texture does not get an extreme likelihood."""
MOST_COST = 40.0
MOST_ODDS = 20.0
FEWEST_PIXELS = 10
CAPACITY = 100
"""Flows are integers: this many units per nat."""
FORBIDDEN = -1e4


@dataclass(frozen=True, slots=True)
class ColourModel:
    """A mixture of Gaussians in Lab."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    inverses: NDArray[np.float64]
    log_determinants: NDArray[np.float64]

    @classmethod
    def of(cls, colours: Field) -> ColourModel:
        """Fitted to colours (N, 3) by k-means."""
        nearest = _grouped(colours)
        groups = [colours[nearest == index] for index in range(COLOURS)]
        groups = [group for group in groups if len(group) >= 3] or [colours]
        noise = np.eye(3) * COLOUR_NOISE
        spreads = np.stack([noise + (np.cov(group.T) if len(group) > 1 else 0.0) for group in groups])
        return cls(
            np.array([len(group) / len(colours) for group in groups]),
            np.stack([group.mean(0) for group in groups]),
            np.asarray(np.linalg.inv(spreads), np.float64),
            np.asarray(np.linalg.slogdet(spreads)[1], np.float64),
        )

    def costs(self, colours: Field) -> Field:
        """Negative log likelihood of colours (N, 3), bounded."""
        away = colours[:, None] - self.means
        distances = np.einsum("nki,kij,nkj->nk", away, self.inverses, away)
        likelihoods = np.log(self.weights) - 0.5 * (self.log_determinants + distances)
        costs: Field = -np.logaddexp.reduce(likelihoods, axis=1)
        return costs.clip(0, MOST_COST)


def _grouped(colours: Field) -> NDArray[np.int64]:
    """k-means groups of colours (N, 3), initialised at equal steps of lightness; a group may be empty."""
    order = np.argsort(colours[:, 0], kind="stable")
    middles = colours[order[((np.arange(COLOURS) + 0.5) * len(colours) / COLOURS).astype(np.int64)]]
    for _ in range(KMEANS_ROUNDS):
        nearest: NDArray[np.int64] = ((colours[:, None] - middles) ** 2).sum(-1).argmin(1)
        for index in np.unique(nearest).tolist():
            middles[index] = colours[nearest == index].mean(0)
    return nearest


def segment(lab: Field, odds: Field, forbidden: Mask) -> Mask | None:
    """The mask bool (h, w) of the object in ``lab`` (h, w, 3), from colours, edges and an initial mask.

    ``odds`` (h, w) are the log-odds of the initial mask, above 0 inside. ``forbidden`` bool (h, w) is always
    background. None when too few pixels of object or background remain to learn colours from.
    """
    colours = lab.reshape(-1, 3)
    inside = (odds > 0) & ~forbidden
    edges = _edges(lab)
    for _ in range(ROUNDS):
        if inside.sum() < FEWEST_PIXELS or (~inside).sum() < FEWEST_PIXELS:
            return None
        objects, background = ColourModel.of(colours[inside.ravel()]), ColourModel.of(colours[~inside.ravel()])
        gain = (background.costs(colours) - objects.costs(colours)).reshape(odds.shape) + odds
        gain = gain.clip(-MOST_ODDS, MOST_ODDS)
        gain[forbidden] = FORBIDDEN
        inside = _cheapest_cut(gain, edges)
    return inside


def _edges(lab: Field) -> tuple[NDArray[np.int64], NDArray[np.int64], Field]:
    """Pairs of neighbouring pixels (8-neighbourhood) and the cost of a cut between them."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    pairs = (
        (index[:, :-1], index[:, 1:], 1.0),
        (index[:-1], index[1:], 1.0),
        (index[:-1, :-1], index[1:, 1:], np.sqrt(2)),
        (index[:-1, 1:], index[1:, :-1], np.sqrt(2)),
    )
    first = np.concatenate([one.ravel() for one, _, _ in pairs])
    second = np.concatenate([other.ravel() for _, other, _ in pairs])
    apart = np.concatenate([np.full(one.size, distance) for one, _, distance in pairs])
    flat = lab.reshape(-1, 3)
    contrast = ((flat[first] - flat[second]) ** 2).sum(1)
    return first, second, SMOOTHNESS * np.exp(-contrast / (2 * contrast.mean() + 1e-6)) / apart


def _cheapest_cut(gain: Field, edges: tuple[NDArray[np.int64], NDArray[np.int64], Field]) -> Mask:
    """The pixels on the object's side of the minimum cut; ``gain`` (h, w) is the gain of each pixel there."""
    first, second, costs = edges
    flat = gain.ravel()
    source, sink = flat.size, flat.size + 1
    gains, losses = np.flatnonzero(flat > 0), np.flatnonzero(flat < 0)
    rows = np.concatenate([first, second, np.full(len(gains), source), losses])
    columns = np.concatenate([second, first, gains, np.full(len(losses), sink)])
    values = np.concatenate([costs, costs, flat[gains], -flat[losses]])
    graph = csr_matrix(
        (np.round(values * CAPACITY).astype(np.int32), (rows, columns)), shape=(flat.size + 2, flat.size + 2)
    )
    left = graph - maximum_flow(graph, source, sink, method="dinic").flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    side = np.zeros(flat.size + 2, np.bool_)
    side[breadth_first_order(left, source, return_predecessors=False)] = True
    return side[:-2].reshape(gain.shape)
