#!/usr/bin/env bash
# iterative-stratification: a class with one or two positives is in the training set for every seed, never in test.
#
# Versions: iterative-stratification 0.1.9, scikit-learn 1.9.1, numpy 2.4.6.
#
# 300 clips, five common labels and one rare one, split 80/20 with 200 seeds. With one or two positives, no seed puts
# one of them into the test set; with three, every seed puts exactly one there. A plain random split gives a rare class
# of two a test clip in 36 % of the draws. What a set still wants of a label is 0.8 times its number against 0.2 times
# it, the larger wins each time, and the draw is asked only in a tie: the seed cannot help.
# The size of the test set is not what was asked for either: 40 of 200 wanted, 40 to 49 given.
#
# Why it matters: a label without a positive test clip has no average precision or AUC. Code that counts it as 0 lowers
# mAP by the same amount for every seed, so that repeating over seeds does not show it; code that skips it scores fewer
# classes than the paper's table names. Split sizes that vary with the seed break "n = 40" in a caption. Count the
# positives of each set after the split, and move a clip by hand or drop the class by name.
#
# Seen on 2026-11-28:
#   positives 1: a test positive in   0 % of 200 seeds (random split: 22 %)
#   positives 2: a test positive in   0 % of 200 seeds (random split: 36 %)
#   positives 3: a test positive in 100 % of 200 seeds (random split: 43 %)
#   200 clips, 20 labels, test size 0.2: from 40 to 49 test clips
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  iterative-stratification==0.1.9 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
cd "$work"
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from sklearn.model_selection import ShuffleSplit

print(*(f"{name} {version(name)}" for name in ("iterative-stratification", "scikit-learn", "numpy")), sep=", ")
seeds = 200


def labels(rng, clips, common, rare):
    table = (rng.random((clips, common)) < 0.3).astype(int)
    column = np.zeros((clips, 1), int)
    column[rng.choice(clips, rare, replace=False)] = 1
    return np.hstack([table, column])


def tested(splitter, positives):
    """Share of the seeds whose test set has a positive of the rare label."""
    found = 0
    for seed in range(seeds):
        table = labels(np.random.default_rng(seed), 300, 5, positives)
        _, test = next(splitter(n_splits=1, test_size=0.2, random_state=seed).split(table, table))
        found += bool(table[test, -1].any())
    return found / seeds


shares = {}
for positives in (1, 2, 3):
    shares[positives] = tested(MultilabelStratifiedShuffleSplit, positives)
    plain = tested(ShuffleSplit, positives)
    print(f"positives {positives}: a test positive in {shares[positives]:4.0%} of {seeds} seeds (random split: {plain:4.0%})")

sizes = set()
for seed in range(seeds):
    table = (np.random.default_rng(seed).random((200, 20)) < 0.15).astype(int)
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=seed)
    sizes.add(len(next(splitter.split(table, table))[1]))
print(f"200 clips, 20 labels, test size 0.2: from {min(sizes)} to {max(sizes)} test clips")

assert shares[1] == shares[2] == 0 and shares[3] == 1, "rare labels are treated otherwise now"
assert max(sizes) - min(sizes) >= 5, "the sizes no longer drift"
print("as described: one or two positives never reach the test set")
PY
