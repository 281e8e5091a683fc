"""What frozen embeddings tell about a factor: accuracy of an MLP, mutual information, mutual information gap.

All functions take the embeddings of clips and one label per clip; none trains the encoder.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import digamma
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KDTree
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

#: k of the nearest-neighbour estimator of mutual information.
NEIGHBOURS = 3
#: Units of the MLP's hidden layer, and its epochs of training.
WIDTH, EPOCHS = 128, 100


def mlp_accuracy(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int = 0, epochs: int = EPOCHS
) -> float:
    """Train an MLP with one hidden layer and return its accuracy.

    Args:
        train: training embeddings [clip, dim] and labels [clip].
        test: test embeddings and labels, likewise.
        seed: of the initial weights and the batches.
        epochs: epochs of training.

    Returns:
        The accuracy on ``test``, from 0 to 1.
    """
    mlp = MLPClassifier((WIDTH,), max_iter=epochs, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed, converged or not
        mlp.fit(*train)
    return float(mlp.score(*test))


def mutual_information_ross(z: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Estimate the mutual information of a continuous vector and a discrete label.

    The k-nearest-neighbour estimator of Ross (2014), "Mutual information between discrete and continuous data sets".
    With k = `NEIGHBOURS`, r_i the distance from clip i to its k-th neighbour of the same class, and m_i the number of
    clips of any class within r_i,

        I = ψ(N) + ψ(k) − mean ψ(N_class(i)) − mean ψ(m_i).

    Distances are Euclidean. Dimensions are scaled to standard deviation 1, and noise of 1e-10 breaks ties.

    Args:
        z: [clip, dim].
        labels: [clip], with more than k clips per class.
        seed: of the noise.

    Returns:
        The estimate in nats; negative values become 0.

    Raises:
        ValueError: a class has too few clips.
    """
    z = z - z.mean(0)
    z = z / np.maximum(z.std(0), 1e-12) + 1e-10 * np.random.default_rng(seed).standard_normal(z.shape)
    size, radius = np.empty(len(z)), np.empty(len(z))
    for label in np.unique(labels):
        own = labels == label
        if own.sum() <= NEIGHBOURS:
            raise ValueError(f"class {label} has {own.sum()} clips; mutual information needs {NEIGHBOURS + 1} or more")
        # The first neighbour is the clip itself.
        distances, _ = KDTree(z[own]).query(z[own], NEIGHBOURS + 1)
        size[own], radius[own] = own.sum(), np.nextafter(distances[:, -1], 0)
    within = KDTree(z).query_radius(z, radius, count_only=True)  # counts the clip itself
    value = digamma(len(z)) + digamma(NEIGHBOURS) - digamma(size).mean() - digamma(within).mean()
    return max(0.0, float(value))


def by_dimension(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute `mutual_information_ross` of each single dimension.

    Args:
        z: [clip, dim].
        labels: [clip].

    Returns:
        Nats, [dim].
    """
    return np.array([mutual_information_ross(column[:, None], labels) for column in z.T])


def mutual_information_gap(by_dimension: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mutual information gap (MIG) of one factor (Chen et al. 2018).

    It is the difference between the two most informative dimensions, divided by the entropy of the factor.

    Args:
        by_dimension: mutual information with the factor, in nats, [dim].
        labels: the factor of each clip, [clip].

    Returns:
        The gap, from 0 to 1.

    >>> float(mutual_information_gap(np.array([0.0, np.log(2), 0.0]), np.array([0, 1])))
    1.0
    """
    second, best = np.sort(by_dimension)[-2:]
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float((best - second) / -(shares * np.log(shares)).sum())
