#!/usr/bin/env bash
# sed_eval: an onset that is late by exactly the collar is a hit or a miss, depending on where in the file it lies.
#
# Versions: sed_eval 0.2.1, dcase_util 0.2.20, mir_eval 0.8.2, numpy 2.4.6.
#
# Every onset is 0.2 s late and the collar is 0.2 s, so all are hits by the rule (the difference may equal the collar).
# The differences of two decimal numbers are a little more or less than 0.2 in floating point, and no tolerance is
# given. mir_eval rounds before it compares, and takes them all.
#
# Why it matters: predictions lie on a frame grid and labels on 0.1 s or 0.01 s steps, so "exactly the collar" is a
# common case, not a rare one. The F measure then depends on where a file was cut, and two evaluations of the same output
# disagree. Widen the collar by half a frame, or round onsets and lateness to a grid and compare integers.
#
# Seen on 2026-11-28:
#   100 onsets from  0.0 s, each late by the collar: sed_eval  26 hits, mir_eval 100
#   100 onsets from  0.1 s, each late by the collar: sed_eval  52 hits, mir_eval 100
#   100 onsets from 16.0 s, each late by the collar: sed_eval  16 hits, mir_eval 100
#   100 onsets from 64.3 s, each late by the collar: sed_eval  36 hits, mir_eval 100
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'setuptools<81' \
  sed_eval==0.2.1 dcase_util==0.2.20 mir_eval==0.8.2 numpy==2.4.6 scipy==1.17.1
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import mir_eval
import numpy as np
from dcase_util.containers import MetaDataContainer
from sed_eval.sound_event import EventBasedMetrics

print(*(f"{name} {version(name)}" for name in ("sed_eval", "dcase_util", "mir_eval", "numpy")), sep=", ")
collar = 0.2


def events(onsets):
    return MetaDataContainer([{"filename": "a.wav", "event_label": "dog", "onset": t, "offset": t + 0.3} for t in onsets])


def hits(start):
    truth = [round(start + k / 10, 1) for k in range(0, 1000, 10)]  # one event a second
    late = [round(t + collar, 1) for t in truth]
    metrics = EventBasedMetrics(event_label_list=["dog"], t_collar=collar, evaluate_offset=False)
    metrics.evaluate(reference_event_list=events(truth), estimated_event_list=events(late))
    recall = metrics.results_overall_metrics()["f_measure"]["recall"]
    intervals = [np.array([[t, t + 0.3] for t in ts]) for ts in (truth, late)]
    matched = mir_eval.transcription.match_note_onsets(*intervals, onset_tolerance=collar)
    return round(recall * len(truth)), len(matched)


rows = {start: hits(start) for start in (0.0, 0.1, 16.0, 64.3)}
for start, (ours, theirs) in rows.items():
    print(f"100 onsets from {start:4.1f} s, each late by the collar: sed_eval {ours:3d} hits, mir_eval {theirs:3d}")

counts = {ours for ours, _ in rows.values()}
assert len(counts) > 1 and min(counts) < 100, "sed_eval no longer depends on the position"
assert all(theirs == 100 for _, theirs in rows.values())
print("as described: the same lateness is a hit here and a miss there")
PY
