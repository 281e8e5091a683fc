#!/usr/bin/env bash
# soundfile writes FLAC, Ogg Vorbis, Ogg Opus and MP3 to a full disk without an error if it fills up at the very end.
#
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, NumPy 2.3.5.
#
# The encoders hold back the last part of the sound until the file is closed. soundfile ignores what sf_close returns, so
# the write counts as done. An Ogg or MP3 file can then be read, is shorter than the sound, and nothing says so; a FLAC
# file still has the header of an unknown length. WAV is written at once and raises; its message is "System error." and
# does not name the disk.
#
# Why it matters: a data set converted to FLAC or Opus on a disk that fills up has clips without their ends, and a job
# that exits with 0. The same goes for a quota or a limit on the size of files, which is used here in place of a full
# disk. Write to memory (io.BytesIO) and write that to the file with Python, which raises; or read each file back.
#
# Seen on 2026-11-28, with room for all but 500 bytes of each file of 192,000 samples:
#   WAV PCM_16: LibsndfileError: System error.
#   FLAC PCM_16: no error, and soundfile.read says: array is too big;
#   OGG VORBIS: no error, 175808 samples can be read
#   OGG OPUS: no error, 169608 samples can be read
#   MP3 MPEG_LAYER_III: no error, 188975 samples can be read
#   WAV PCM_16, to memory and then to the file: OSError: [Errno 27] File too large
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.3.5
cd "$work"
venv/bin/python - <<'PY'
import io
import os
import resource
import signal

import numpy as np
import soundfile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as one to a full disk does
sound = 0.1 * np.random.default_rng(0).standard_normal(192_000)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
for container, codec in (
    ("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")
):
    what = {"samplerate": 48_000, "format": container, "subtype": codec}
    soundfile.write("whole", sound, **what)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize("whole") - 500, unlimited[1]))
    try:
        soundfile.write("cut", sound, **what)
    except soundfile.LibsndfileError as error:
        print(f"{container} {codec}: {type(error).__name__}: {error}")
        assert container == "WAV", f"changed: {container} raises"
    else:
        try:
            left = len(soundfile.read("cut")[0])
        except ValueError as error:  # of NumPy, at the length of an unfinished header
            left = 0
            print(f"{container} {codec}: no error, and soundfile.read says: {str(error)[:17]}")
        else:
            print(f"{container} {codec}: no error, {left} samples can be read")
        assert container != "WAV" and left < len(sound), "changed"
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
wav = io.BytesIO()
soundfile.write(wav, sound, 48_000, format="WAV", subtype="PCM_16")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
try:
    with open("cut.wav", "wb") as file:
        file.write(wav.getvalue())
except OSError as error:
    print(f"WAV PCM_16, to memory and then to the file: {type(error).__name__}: {error}")
else:
    raise SystemExit("changed: no error at all")
PY
