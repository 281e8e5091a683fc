#!/usr/bin/env bash
# dcase_util: merging events ends a long event where a short one inside it ends, and calls the rest inactivity.
#
# Versions: dcase_util 0.2.20, numpy 2.4.6.
#
# process_events(minimum_event_gap=...) goes through the events of a class by onset and takes the offset of the latest
# one, not the largest so far. Speech from 1 to 9 s with speech from 3 to 4 s inside becomes speech from 1 to 4 s.
# event_inactivity gives all classes one label and merges them in this way: with rain from 1 to 9 s and a bark from 3 to
# 4 s, it says that nothing is active from 4 s on. stats(calculate_event_activity=True) rests on both.
#
# Why it matters: labels overlap where several people talk, where several annotators' labels are pooled, and between the
# classes of nearly every scene. Merged references and outputs lose the ends of long events, and clips cut from the
# inactivity as background or as negative examples hold events. Take the union of the intervals, or the event roll
# (to_event_roll), which is right.
#
# Seen on 2026-11-28:
#   speech 1 to 9 s with speech 3 to 4 s inside, merged: [(1.0, 4.0)]
#   rain 1 to 9 s with a bark 3 to 4 s inside, inactivity of 10 s: [(0.0, 1.0), (4.0, 10.0)]
#   stats, activity in percent: 30.0, right 80.0
#   100 files, 500 events of 3 classes: 286.7 s without an event, event_inactivity says 359.7 s,
#   of which 73.0 s have one
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'setuptools<81' \
  dcase_util==0.2.20 numpy==2.4.6 scipy==1.17.1
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from dcase_util.containers import MetaDataContainer

print(*(f"{name} {version(name)}" for name in ("dcase_util", "numpy")), sep=", ")
seconds = 10.0


def container(events):
    fields = "event_label", "onset", "offset", "filename"
    return MetaDataContainer([dict(zip(fields, event)) for event in events])


def times(events):
    return [(float(event.onset), float(event.offset)) for event in events]


merged = times(container([("speech", 1.0, 9.0, "a"), ("speech", 3.0, 4.0, "a")]).process_events(minimum_event_gap=0.1))
print("speech 1 to 9 s with speech 3 to 4 s inside, merged:", merged)
scene = container([("rain", 1.0, 9.0, "a"), ("dog", 3.0, 4.0, "a")])
idle = times(scene.event_inactivity(duration_list={"a": seconds}))
print("rain 1 to 9 s with a bark 3 to 4 s inside, inactivity of 10 s:", idle)
active = scene.stats(calculate_event_activity=True, duration_list={"a": seconds})
active = float(active["events"]["overall_activity_percentage"])
print(f"stats, activity in percent: {active:.1f}, right 80.0")

# Many files, in whole tenths of a second, so that the union and the roll of events can be counted exactly.
random = np.random.default_rng(0)
names = [f"{n}.wav" for n in range(100)]
events = []
for name in names:
    for _ in range(5):
        onset = int(random.integers(0, 90))
        offset = onset + int(random.integers(5, min(60, 100 - onset) + 1))
        events.append((str(random.choice(["rain", "dog", "speech"])), onset / 10, offset / 10, name))
union = {name: np.zeros(100, dtype=bool) for name in names}
for _, onset, offset, name in events:
    union[name][round(10 * onset) : round(10 * offset)] = True
silent = sum((~frames).sum() for frames in union.values()) / 10
scenes = container(events)
said = [
    (event.filename, round(10 * event.onset), round(10 * event.offset))
    for event in scenes.event_inactivity(duration_list=dict.fromkeys(names, seconds))
]
claimed = sum(offset - onset for _, onset, offset in said) / 10
wrong = sum(union[name][onset:offset].sum() for name, onset, offset in said) / 10
print(f"100 files, 500 events of 3 classes: {silent:.1f} s without an event, event_inactivity says {claimed:.1f} s,")
print(f"of which {wrong:.1f} s have one")

assert merged == [(1.0, 4.0)], "the longer event keeps its end"
assert idle == [(0.0, 1.0), (4.0, 10.0)], "the inactivity has no event in it"
assert abs(active - 30) < 1e-6, "the statistics have changed"
roll = scene.to_event_roll(label_list=["dog", "rain"], time_resolution=1.0, length_seconds=seconds)
assert roll.data.any(axis=0).sum() == 8, "the event roll is right"
assert abs(claimed - wrong - silent) < 1e-6 and wrong > 20
print("as described: a short event ends the long one around it")
PY
