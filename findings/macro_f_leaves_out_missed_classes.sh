#!/usr/bin/env bash
# Two toolkits' macro F over classes leaves out the classes that the system never found: it is 1 for half the work.
#
# Versions: sed_eval 0.2.1, psds-eval 0.5.3 (dcase_util 0.2.20, numpy 1.26.4, pandas 2.3.3).
#
# Ten dogs and ten sirens. The system finds every dog and no siren.
# - sed_eval, class-wise average: F is 1.0, though the recall beside it is 0.5 and the micro F is 0.67. One false siren
#   alarm makes it 0.5.
# - psds_eval, compute_macro_f_score: F is 1.0. A false siren alarm changes nothing. Finding one of the ten sirens
#   lowers it to 0.59.
# A class without any hit has an F of NaN in both, and the mean is taken over the others. In sed_eval this needs a class
# that was never reported; psds_eval does it to every class without a hit, whatever was reported.
#
# Why it matters: the macro F of a system that gave up on rare classes beats that of a system that tries. Thresholds
# chosen by it drift to where rare classes vanish, and tables of macro F cannot be compared. Count NaN as 0 yourself.
#
# Seen on 2026-11-28:
#   system                                  sed_eval macro F   psds_eval macro F   right
#   all dogs, no siren                                 1.000               1.000   0.500
#   all dogs, one false siren                          0.500               1.000   0.500
#   all dogs, one siren of ten                         0.591               0.591   0.591
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'setuptools<81' \
  sed_eval==0.2.1 dcase_util==0.2.20 psds-eval==0.5.3 pandas==2.3.3 numpy==1.26.4 scipy==1.15.3
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import pandas as pd
from dcase_util.containers import MetaDataContainer
from psds_eval import PSDSEval
from sed_eval.sound_event import EventBasedMetrics

print(*(f"{name} {version(name)}" for name in ("sed_eval", "psds-eval", "dcase_util", "numpy", "pandas")), sep=", ")
columns = ["filename", "onset", "offset", "event_label"]
files = [f"{i}.wav" for i in range(10)]
dogs = [(f, 1.0, 2.0, "dog") for f in files]
sirens = [(f, 4.0, 5.0, "siren") for f in files]


def sed_eval_macro(found):
    metrics = EventBasedMetrics(event_label_list=["dog", "siren"])
    for name in files:
        truth, guess = (
            MetaDataContainer([dict(zip(columns, event)) for event in events if event[0] == name])
            for events in (dogs + sirens, found)
        )
        metrics.evaluate(reference_event_list=truth, estimated_event_list=guess)
    return metrics.results_class_wise_average_metrics()["f_measure"]["f_measure"]


def psds_eval_macro(found):
    durations = pd.DataFrame({"filename": files, "duration": 10.0})
    truth = pd.DataFrame(dogs + sirens, columns=columns)
    scorer = PSDSEval(dtc_threshold=0.5, gtc_threshold=0.5, cttc_threshold=0.3, ground_truth=truth, metadata=durations)
    return float(scorer.compute_macro_f_score(pd.DataFrame(found, columns=columns))[0])


systems = {
    "all dogs, no siren": (dogs, 0.5, (1.0, 1.0)),
    "all dogs, one false siren": (dogs + [("0.wav", 8.0, 9.0, "siren")], 0.5, (0.5, 1.0)),
    "all dogs, one siren of ten": (dogs + sirens[:1], (1 + 2 / 11) / 2, ((1 + 2 / 11) / 2,) * 2),
}
print(f"{'system':36} sed_eval macro F   psds_eval macro F   right")
for name, (found, right, expected) in systems.items():
    got = sed_eval_macro(found), psds_eval_macro(found)
    print(f"{name:36} {got[0]:16.3f}   {got[1]:17.3f}   {right:.3f}")
    assert all(abs(a - b) < 1e-6 for a, b in zip(got, expected)), "the behaviour has changed"
print("as described: never finding a class is worth a macro F of 1")
PY
