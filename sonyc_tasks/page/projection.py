"""Which clips are alike, and where each lies on a map of their embeddings."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

NEAREST = 5
#: With fewer clips than this, t-SNE draws shapes of its own.
MIN_CLIPS_FOR_TSNE = 12


def similarities(embedding: np.ndarray) -> np.ndarray:
    """Cosine similarity of every two clips.

    Args:
        embedding: [clip, dim]; standardised by dimension here.

    Returns:
        float64 [clip, clip].
    """
    unit = _standardised(embedding)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def nearest(similarity: np.ndarray, count: int = NEAREST) -> np.ndarray:
    """The most similar other clips of each clip, the best first.

    Args:
        similarity: [clip, clip].
        count: how many of them, or all others where there are fewer.

    Returns:
        Indices, int64 [clip, neighbour].
    """
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, : min(count, len(others) - 1)]


def project(embedding: np.ndarray) -> tuple[np.ndarray, str]:
    """Project clips onto the plane, by t-SNE (van der Maaten and Hinton 2008) of the first principal components.

    Args:
        embedding: [clip, dim]; standardised by dimension here.

    Returns:
        Positions [clip, 2] from 0 to 1, and how they were computed, in words.
    """
    clips = len(embedding)
    points = _standardised(embedding)
    points = points[:, points.any(axis=0)]
    tsne = clips >= MIN_CLIPS_FOR_TSNE and points.shape[1] > 1
    how = "the first two principal components (too few clips or dimensions for t-SNE)"
    if components := min(20 if tsne else 2, *points.shape):
        points = PCA(components, svd_solver="full").fit_transform(points)
    if tsne:
        perplexity = min(30.0, (clips - 1) / 3)
        how = f"{components} principal components, then t-SNE of perplexity {perplexity:.3g} with a fixed seed"
        # One thread: the same map on any number of cores, and no threads that wait for each other on busy ones.
        with threadpool_limits(1):
            points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(points)
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    extent = np.ptp(points, axis=0).max() or 1.0
    return (points - (points.max(axis=0) + points.min(axis=0)) / 2) / extent + 0.5, how


def _standardised(embedding: np.ndarray) -> np.ndarray:
    """float64 [clip, dim] of mean 0 and deviation 1 in each dimension; a constant dimension becomes 0."""
    centred = np.asarray(embedding, dtype=np.float64) - embedding.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    # Rounding leaves a trace of deviation in a constant dimension; it must not be blown up.
    constant = deviation <= 1e-9 * np.abs(embedding).max(axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation))
