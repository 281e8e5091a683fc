"""The SONYC-UST-V2 taxonomy and the columns of its ``annotations.csv``, in its own order and spelling."""

from __future__ import annotations

#: Context columns, first in the file: who annotated which clip, and where and when it was recorded.
CONTEXT = (
    *("split", "sensor_id", "audio_filename", "annotator_id", "borough", "block", "latitude", "longitude"),
    *("year", "week", "day", "hour"),
)

#: The 29 fine tags; the first digit is the coarse class, and "X" means "of this class, unsure which".
FINE = (
    "1-1_small-sounding-engine",
    "1-2_medium-sounding-engine",
    "1-3_large-sounding-engine",
    "1-X_engine-of-uncertain-size",
    "2-1_rock-drill",
    "2-2_jackhammer",
    "2-3_hoe-ram",
    "2-4_pile-driver",
    "2-X_other-unknown-impact-machinery",
    "3-1_non-machinery-impact",
    "4-1_chainsaw",
    "4-2_small-medium-rotating-saw",
    "4-3_large-rotating-saw",
    "4-X_other-unknown-powered-saw",
    "5-1_car-horn",
    "5-2_car-alarm",
    "5-3_siren",
    "5-4_reverse-beeper",
    "5-X_other-unknown-alert-signal",
    "6-1_stationary-music",
    "6-2_mobile-music",
    "6-3_ice-cream-truck",
    "6-X_music-from-uncertain-source",
    "7-1_person-or-small-group-talking",
    "7-2_person-or-small-group-shouting",
    "7-3_large-crowd",
    "7-4_amplified-speech",
    "7-X_other-unknown-human-voice",
    "8-1_dog-barking-whining",
)

#: The 8 coarse classes: the label vocabulary of the HEAR task ``sonyc_source``, in this order.
COARSE = (
    "1_engine",
    "2_machinery-impact",
    "3_non-machinery-impact",
    "4_powered-saw",
    "5_alert-signal",
    "6_music",
    "7_human-voice",
    "8_dog",
)

#: All 78 columns of ``annotations.csv``, in order.
COLUMNS = (
    *CONTEXT,
    *(f"{tag}_presence" for tag in FINE),
    *(f"{tag}_proximity" for tag in FINE),
    *(f"{tag}_presence" for tag in COARSE),
)

#: ``_presence`` and ``_proximity`` of a tag that the annotator was not asked about.
NOT_LABELLED = -1

#: Clips are 10 s of 48 kHz mono 16-bit PCM, named ``SS_NNNNNN.wav`` with SS the sensor.
SAMPLE_RATE = 48_000
CLIP_SECONDS = 10.0


def coarse_of(fine: str) -> str:
    """Return the coarse class of a fine tag.

    >>> coarse_of("5-4_reverse-beeper")
    '5_alert-signal'
    """
    return next(coarse for coarse in COARSE if coarse[0] == fine[0])
