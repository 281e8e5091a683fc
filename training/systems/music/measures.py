"""What the halves of an embedding hold of the two factors: a frozen-latent MLP, mutual information, MIG.

All take the embeddings of clips and one label a clip; none of them trains the encoder.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import digamma
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KDTree
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

#: Neighbours of the estimator of mutual information.
NEIGHBOURS = 3
#: Of the MLP: one hidden layer of so many units, so many passes over the training clips.
WIDTH, PASSES = 128, 100


def mlp_accuracy(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int = 0, passes: int = PASSES
) -> float:
    """Accuracy on ``test`` of an MLP that was trained on ``train``; each is (z [clip, dim], labels [clip])."""
    mlp = MLPClassifier((WIDTH,), max_iter=passes, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is trained for so many passes, not until it is done
        mlp.fit(*train)
    return float(mlp.score(*test))


def information(z: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Mutual information I(z; label) in nats, of continuous z [clip, dim] and one discrete label a clip.

    Ross (2014): with k = `NEIGHBOURS`, r_i the distance from clip i to the k-th nearest of its own class and m_i the
    number of clips within r_i, whatever their class,

        I = ψ(N) + ψ(k) − mean ψ(N_class(i)) − mean ψ(m_i).

    Distances are Euclidean, of dimensions scaled to deviation 1, with a noise of 1e-10 against ties. The estimate is
    held to be no less than 0. Every class needs more than k clips.
    """
    z = z - z.mean(0)
    z = z / np.maximum(z.std(0), 1e-12) + 1e-10 * np.random.default_rng(seed).standard_normal(z.shape)
    size, radius = np.empty(len(z)), np.empty(len(z))
    for label in np.unique(labels):
        own = labels == label
        if own.sum() <= NEIGHBOURS:
            raise ValueError(f"class {label} has {own.sum()} clips: mutual information needs {NEIGHBOURS + 1} or more")
        # The nearest of all is the clip itself.
        distances, _ = KDTree(z[own]).query(z[own], NEIGHBOURS + 1)
        size[own], radius[own] = own.sum(), np.nextafter(distances[:, -1], 0)
    within = KDTree(z).query_radius(z, radius, count_only=True)  # itself among them
    value = digamma(len(z)) + digamma(NEIGHBOURS) - digamma(size).mean() - digamma(within).mean()
    return max(0.0, float(value))


def by_dimension(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`information` of each dimension of z [clip, dim] alone, [dim]."""
    return np.array([information(column[:, None], labels) for column in z.T])


def information_gap(of_dimensions: np.ndarray, labels: np.ndarray) -> float:
    """MIG of one factor (Chen et al. 2018): how much more of it the best dimension tells than the second best, over the
    factor's entropy; ``of_dimensions`` from `by_dimension`.

    >>> float(information_gap(np.array([0.0, np.log(2), 0.0]), np.array([0, 1])))
    1.0
    """
    second, best = np.sort(of_dimensions)[-2:]
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float((best - second) / -(shares * np.log(shares)).sum())
