#!/usr/bin/env bash
# With one class, psds_eval gives a perfect detector a PSDS of 0.
#
# Versions: psds-eval 0.5.3, pandas 2.3.3, numpy 1.26.4 (pandas 3 raises a TypeError inside it).
#
# The same ten files, the same events, found exactly and without a false alarm. With two classes the score is 1, as it
# should be. With one class it is 0, and stays 0 for any number of false alarms and any operating points. Nothing is
# said. The curve over the *effective* false positive rate comes out empty where there is no other class that a
# cross-trigger could come from; the curve over the plain false positive rate is right, and its area is 1.
#
# Why it matters: one-class detectors (gunshots, a bird's call, voice activity) look hopeless, and a loop over classes
# that scores each alone gives 0 for all of them. Add a second class that occurs, or integrate the plain curve.
#
# Seen on 2026-11-28:
#   1 class : PSDS 0.000   area under the plain TPR over FPR curve 1.000
#   2 classes: PSDS 1.000
#   3 classes: PSDS 1.000
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  psds-eval==0.5.3 pandas==2.3.3 numpy==1.26.4 scipy==1.15.3
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pandas as pd
from psds_eval import PSDSEval

print(*(f"{name} {version(name)}" for name in ("psds-eval", "pandas", "numpy")), sep=", ")
columns = ["filename", "onset", "offset", "event_label"]


def perfect_detector(classes):
    """PSDS of a detector that finds every event exactly, at two operating points: none and three false alarms."""
    files = [f"{i}.wav" for i in range(10)]
    truth = pd.DataFrame([(f, 1.0 + 2 * k, 2.0 + 2 * k, c) for f in files for k, c in enumerate(classes)], columns=columns)
    alarms = pd.DataFrame([(f, 9.0, 9.5, classes[0]) for f in files[:3]], columns=columns)
    durations = pd.DataFrame({"filename": files, "duration": 10.0})
    scorer = PSDSEval(dtc_threshold=0.5, gtc_threshold=0.5, cttc_threshold=0.3, ground_truth=truth, metadata=durations)
    scorer.add_operating_point(truth)
    scorer.add_operating_point(pd.concat([truth, alarms]))
    score = scorer.psds(max_efpr=100, alpha_ct=0, alpha_st=0).value
    plain = scorer.psd_roc_curves(alpha_ct=0)[0]
    x, y = np.append(plain.xp, 100.0), plain.yp[0]
    return score, float((np.diff(x) * y).sum() / 100)


scores = {}
for number in (1, 2, 3):
    score, area = perfect_detector(["gunshot", "siren", "dog"][:number])
    scores[number] = score, area
    print(f"{number} class(es): PSDS {score:.3f}   area under the plain TPR over FPR curve {area:.3f}")

assert scores[1][0] == 0 and abs(scores[1][1] - 1) < 1e-6, "one class is no longer scored 0"
assert abs(scores[2][0] - 1) < 1e-6 and abs(scores[3][0] - 1) < 1e-6
print("as described: the one-class detector is perfect and scores 0")
PY
