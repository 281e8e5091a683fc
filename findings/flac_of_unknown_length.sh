#!/usr/bin/env bash
# soundfile takes a FLAC of unknown length for one of 9.2e18 samples, and can read none of them by its usual calls.
#
# Versions: soundfile 0.14.0 (libsndfile 1.2.2), miniaudio 1.71, numpy 2.4.6.
#
# An encoder that writes to a pipe cannot go back to fill in the number of samples; FLAC (RFC 9639) says that 0 means
# "unknown", and players play it. libsndfile reports the largest 64-bit number. soundfile.read() raises "array is too
# big", read(frames=…) and blocks() raise "Internal psf_fseek() failed" after the samples have been read, and
# info().duration is 6 million years. Another decoder reads all of it.
#
# Why it matters: data sets that were converted in a pipeline (ffmpeg or flac to standard output, object stores) look
# damaged, and a check by duration calls them too long. The file is sound: decode it with another library, or write it
# once more to a seekable file.
#
# Seen on 2026-11-28 (one second at 44.1 kHz):
#   soundfile.info: 9223372036854775807 frames
#   soundfile.read: ValueError: array is too big
#   soundfile.read(frames=44100): LibsndfileError: Internal psf_fseek() failed.
#   soundfile.blocks: LibsndfileError: Internal psf_fseek() failed.
#   miniaudio: 44100 frames, equal to what was written
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check soundfile==0.14.0 miniaudio==1.71 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
from importlib.metadata import version

import miniaudio
import numpy as np
import soundfile

print(*(f"{name} {version(name)}" for name in ("soundfile", "miniaudio", "numpy")), sep=", ")
print("libsndfile", soundfile.__libsndfile_version__)
samples = (3000 * np.sin(np.arange(44100) / 10)).astype("int16")
soundfile.write("known.flac", samples, 44100, subtype="PCM_16")
flac = bytearray(open("known.flac", "rb").read())
# What an encoder leaves that cannot seek: number of samples (36 bits) and MD5 of STREAMINFO are 0.
flac[21] &= 0xF0
flac[22:42] = bytes(20)
open("unknown.flac", "wb").write(flac)


def attempt(call):
    try:
        return f"{call()} frames"
    except (ValueError, soundfile.LibsndfileError) as error:
        return f"{type(error).__name__}: {str(error).split(';')[0]}"


tries = {
    "info": attempt(lambda: soundfile.info("unknown.flac").frames),
    "read": attempt(lambda: len(soundfile.read("unknown.flac")[0])),
    "read(frames=44100)": attempt(lambda: len(soundfile.read("unknown.flac", frames=44100)[0])),
    "blocks": attempt(lambda: sum(len(block) for block in soundfile.blocks("unknown.flac", 4096))),
}
for name, said in tries.items():
    print(f"soundfile.{name}: {said}")
other = np.array(miniaudio.flac_read_file_s16("unknown.flac").samples)
same = np.array_equal(other, samples)
print(f"miniaudio: {len(other)} frames, {'equal to' if same else 'other than'} what was written")
assert same and int(tries["info"].split()[0]) > 2**60
assert all("rror" in tries[name] for name in ("read", "read(frames=44100)", "blocks")), "soundfile reads it now"
print("as described: a sound file that soundfile cannot read")
PY
