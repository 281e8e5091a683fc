"""Sound inside a page, as a data address that an audio element plays."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from sonyc_tasks.page import data_uri

#: Hz, of an excerpt in a page that holds many: enough quality for speech.
SAMPLE_RATE = 16_000


def encode(samples: np.ndarray, sample_rate: int = SAMPLE_RATE, *, lossless: bool = False) -> str:
    """Encode mono sound as Ogg Vorbis; as FLAC if ``lossless``, or where this libsndfile has no Vorbis.

    Args:
        samples: [sample]; clipped to −1…1.
        sample_rate: in Hz.

    Returns:
        A data address.
    """
    vorbis = not lossless and "VORBIS" in soundfile.available_subtypes("OGG")
    kind, subtype = ("OGG", "VORBIS") if vorbis else ("FLAC", "PCM_16")
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", sample_rate, 1, subtype, format=kind) as file:
        # In chunks: libsndfile's Vorbis encoder overflows the stack on long ones.
        for start in range(0, len(samples), sample_rate):
            file.write(samples[start : start + sample_rate].clip(-1, 1))
    return data_uri(f"audio/{kind.lower()}", content.getvalue())
