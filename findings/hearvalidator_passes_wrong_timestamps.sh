#!/usr/bin/env bash
# hearvalidator says "Looks good!" to timestamps in seconds, to falling times, to NaN, and to a model in train mode.
#
# Versions: hearvalidator 2021.0.2, torch 2.11.0, tensorflow-cpu 2.21.0.
#
# HEAR asks for timestamps in milliseconds. The validator looks at types, shapes and regular spacing, not at where times
# end, at their direction, at the values of the embeddings, or at whether two calls agree.
#
# Why it matters: the pass is what a HEAR submission shows, and heareval trusts it. With times in seconds every frame of
# a clip carries the labels of its first milliseconds, and event scores are near 0 for a good model, which looks like a
# bad model. In train mode, dropout and batch statistics make each embedding a draw. Check before embedding: 2 s of
# audio must end near 2000 ms, times must rise, values must be finite, two calls must agree.
#
# Seen on 2026-11-28:
#   sound           : Looks good!
#   in_seconds      : Looks good!   the last frame of 4 s of audio is said to lie at 3.975 ms
#   falling_times   : Looks good!
#   nan_embeddings  : Looks good!
#   train_mode      : Looks good!   two calls differ
#   double_precision: refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  hearvalidator==2021.0.2 torch==2.11.0 tensorflow-cpu==2.21.0 numpy==2.4.6
cd "$work"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" PYTHONWARNINGS=ignore
cat > sound.py <<'PY'
"""A sound HEAR module: level and its square, every 50 ms, with the centre of each frame in milliseconds."""
import torch


class Level(torch.nn.Module):
    sample_rate, scene_embedding_size, timestamp_embedding_size = 16000, 2, 2

    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, audio):
        frames = audio[:, : audio.shape[1] // 800 * 800].reshape(len(audio), -1, 800)
        level = frames.square().mean(-1).sqrt()
        return self.dropout(torch.stack([level, level.square()], -1))


def load_model(path=""):
    return Level().eval()


def get_timestamp_embeddings(audio, model):
    frames = model(audio)
    times = (torch.arange(frames.shape[1]) + 0.5) * 50.0
    return frames, times.expand(len(audio), -1)


def get_scene_embeddings(audio, model):
    return model(audio).mean(1)
PY
cat > in_seconds.py <<'PY'
import sound
from sound import get_scene_embeddings, load_model


def get_timestamp_embeddings(audio, model):
    frames, times = sound.get_timestamp_embeddings(audio, model)
    return frames, times / 1000
PY
cat > falling_times.py <<'PY'
import sound
from sound import get_scene_embeddings, load_model


def get_timestamp_embeddings(audio, model):
    frames, times = sound.get_timestamp_embeddings(audio, model)
    return frames, times.flip(1)
PY
cat > nan_embeddings.py <<'PY'
import sound
from sound import load_model


def get_timestamp_embeddings(audio, model):
    frames, times = sound.get_timestamp_embeddings(audio, model)
    return frames * float("nan"), times


def get_scene_embeddings(audio, model):
    return sound.get_scene_embeddings(audio, model) * float("nan")
PY
cat > train_mode.py <<'PY'
from sound import Level, get_scene_embeddings, get_timestamp_embeddings


def load_model(path=""):
    return Level().train()
PY
cat > double_precision.py <<'PY'
import sound
from sound import load_model, get_timestamp_embeddings


def get_scene_embeddings(audio, model):
    return sound.get_scene_embeddings(audio, model).double()
PY
venv/bin/python - <<'PY'
from importlib.metadata import version

print(*(f"{name} {version(name)}" for name in ("hearvalidator", "torch", "tensorflow-cpu")), sep=", ")
PY
for module in sound in_seconds falling_times nan_embeddings train_mode double_precision; do
  said=refused
  venv/bin/python -m hearvalidator.validate "$module" > "$module.log" 2>&1 && grep -q "Looks good!" "$module.log" && said="Looks good!"
  printf '%-16s: %s\n' "$module" "$said"
  expected="Looks good!"
  [ "$module" = double_precision ] && expected=refused
  [ "$said" = "$expected" ] || { cat "$module.log"; echo "the validator judges $module otherwise now"; exit 1; }
done
venv/bin/python - <<'PY'
import in_seconds
import torch
import train_mode

audio = torch.randn(1, 64000)
_, times = in_seconds.get_timestamp_embeddings(audio, in_seconds.load_model())
print(f"in_seconds: the last frame of 4 s of audio is said to lie at {times[0, -1]:.3f} ms")
model = train_mode.load_model()
same = torch.equal(train_mode.get_scene_embeddings(audio, model), train_mode.get_scene_embeddings(audio, model))
print("train_mode: two calls", "agree" if same else "differ")
assert times[0, -1] < 5 and not same
print("as described: a pass says little about times and values")
PY
