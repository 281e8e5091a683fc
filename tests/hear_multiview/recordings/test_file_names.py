"""Times and folders in the names of recordings."""

from __future__ import annotations

import pytest

from hear_multiview.recordings.file_names import common_folder, folders, recorded_at


@pytest.mark.parametrize(
    "name",
    [
        "20260131_235900.wav",
        "20260131-235900.wav",
        "20260131T235900Z.flac",
        "20260131T235900+0100_yard.wav",
        "20260131235900.wav",
        "2026-01-31T23-59-00.wav",
        "2026-01-31 23:59:00.wav",
        "2026-01-31_23h59m00.wav",
        "2026_01_31__23_59_00.ogg",
        "2026.01.31 23.59.wav",
        "S4A01234_20260131_235900.wav",
        "SMA00001_20260131$235900.wav",
        "street 20260131_2359.mp3",
        "697E9744.WAV",
    ],
)
def test_a_time_in_a_name(name: str) -> None:
    assert str(recorded_at(f"2019/20190101_000000/{name}")) == "2026-01-31 23:59:00", "the folder does not count"


@pytest.mark.parametrize(
    "name",
    [
        "01_027042.flac",
        "20260131.wav",
        "20261331_235900.wav",
        "20260131_245900.wav",
        "12026013123590012.wav",
        "60123456.wav",  # as likely a number as a time of AudioMoth's
        "FFFFFFFF.WAV",
        "0000000A.WAV",
        "697e97f4.wav",
        "5E90A4F0 copy.WAV",
        "clip 2359.wav",
    ],
)
def test_no_time_in_a_name(name: str) -> None:
    assert recorded_at(f"/data/20260131_235900/{name}") is None


def test_the_first_folder_in_which_paths_differ() -> None:
    assert folders(["/d/x/a/1.wav", "/d/x/b/c/2.wav", "/d/x/3.wav"]) == ["a", "b", "."]
    assert folders(["a/1.wav", "a/2.wav"]) == [".", "."]
    assert folders(["../roof/1.wav", "../yard/2.wav"]) == ["roof", "yard"]
    assert folders(["1.wav", "/d/2.wav"]) == [".", "/"], "nothing in common"
    assert common_folder(["/d/ab/1.wav", "/d/ac/2.wav"]) == "/d", "whole names only"
