"""Check any HEAR task folder before heareval does, which stops late, at the first fault, with an assertion.

Every finding is one line, ``file:line: what is wrong; what to do`` (``file: …`` if there is no line). A finding with
``warning:`` after its place does not stop heareval under its launcher (`sonyc_tasks.heareval`), but makes scores less
meaningful, or needs the launcher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sonyc_tasks.files import is_plain_name
from sonyc_tasks.scores.metrics import JACCARD_AVERAGES
from sonyc_tasks.tasks.validate.audio import audio_faults, between_splits, short_clips
from sonyc_tasks.tasks.validate.located_json import parse
from sonyc_tasks.tasks.validate.probes import KFOLD, TWO_FRAMES, probe_faults, probe_warnings
from sonyc_tasks.tasks.validate.vocabulary import read_vocabulary

#: heareval's names of scores, for its two kinds of tasks.
SCENE_SCORES = ("top1_acc", "pitch_acc", "chroma_acc", "mAP", "d_prime", "aucroc")
EVENT_SCORES = ("event_onset_200ms_fms", "event_onset_50ms_fms", "event_onset_offset_50ms_20perc_fms", "segment_1s_er")
#: Scores of multilabel scene tasks that only the launcher adds to heareval.
LAUNCHER_SCORES = tuple(f"jaccard_{average}" for average in JACCARD_AVERAGES)
_CHOICES = {
    "embedding_type": ("scene", "event"),
    "prediction_type": ("multilabel", "multiclass"),
    "split_mode": ("trainvaltest", *KFOLD),
}


def validate_task(folder: str | Path) -> list[str]:
    """List all findings about one task folder, errors first; if there are none, heareval can run it.

    The metadata, the label vocabulary, the labels of every split and the header of every audio file are read.
    """
    task = _Task(Path(folder))
    if not task.folder.is_dir():
        return [f"{folder}: there is no such folder; give a task's folder, like tasks/<name>-<version>-<mode>"]
    if task.read_metadata():
        task.read_vocabulary()
        task.read_splits()
        task.check_probes()
        task.check_times()
        task.check_audio()
        task.check_duplicates()
    return task.errors + task.warnings


def errors_of(findings: list[str]) -> list[str]:
    """Return the findings that are not warnings.

    >>> errors_of(["train.json:3: no audio file", "train.json: warning: class dog is absent"])
    ['train.json:3: no audio file']
    """
    return [finding for finding in findings if ": warning: " not in finding]


@dataclass
class _Task:
    """A task folder as far as it could be read. Each step adds to ``errors`` and skips what it cannot use.

    Attributes:
        scores_known: Whether heareval has the scores that the metadata names, for this kind of task.
        vocabulary: Label in the file → as heareval reads it.
        splits: Split → clip → labels.
        lines: Split → clip → its line in the file.
    """

    folder: Path
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    scores_known: bool = False
    vocabulary: dict[str, str] = field(default_factory=dict)
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, dict[str, int]] = field(default_factory=dict)

    def error(self, file: str, message: str, line: int | None = None) -> None:
        self.errors.append(f"{self._place(file, line)}: {message}")

    def warn(self, file: str, message: str, line: int | None = None) -> None:
        self.warnings.append(f"{self._place(file, line)}: warning: {message}")

    def _place(self, file: str, line: int | None) -> str:
        return f"{self.folder / file}{'' if line is None else f':{line}'}"

    def read_metadata(self) -> bool:
        """Read the metadata; return False if it is too broken for further checks."""
        file = "task_metadata.json"
        content, lines = self._json(file)
        if content is None:
            return False
        before = len(self.errors)
        for key in ("task_name", *_CHOICES, "splits", "sample_duration", "evaluation"):
            if key not in content:
                self.error(file, f"the key {key} is missing; add it, as heareval needs it")
        for key, choices in _CHOICES.items():
            if key in content and content[key] not in choices:
                self.error(file, f"{key} is {content[key]!r}; choose from {', '.join(choices)}", lines.get(key))
        seconds = content.get("sample_duration")
        if seconds is not None and (not _is_number(seconds) or seconds <= 0):
            self.error(file, f"sample_duration is {seconds!r}; give seconds, or null", lines.get("sample_duration"))
        if "splits" in content:
            self._check_split_names(content, lines.get("splits"))
        sound = len(self.errors) == before
        if "evaluation" in content and content.get("embedding_type") in _CHOICES["embedding_type"]:
            unsound = len(self.errors)
            self._check_scores(content, lines.get("evaluation"))
            self.scores_known = len(self.errors) == unsound
        self.metadata = content
        return sound

    def _check_split_names(self, content: dict[str, Any], line: int | None) -> None:
        file, names, mode = "task_metadata.json", content["splits"], content.get("split_mode")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
            self.error(file, f"splits is {names!r}; give a list of split names", line)
        elif odd := [name for name in names if not is_plain_name(name)]:
            self.error(file, f"the split {odd[0]!r} is a path, but a split is a file beside this one; rename it", line)
        elif len(set(names)) < len(names):
            self.error(file, f"splits is {names!r}; list every split once", line)
        elif mode == "trainvaltest" and set(names) != {"train", "valid", "test"}:
            self.error(file, f"splits is {names!r}; with split_mode trainvaltest, give train, valid and test", line)
        elif mode in KFOLD and len(names) < 3:
            self.error(file, f"splits has {len(names)} folds; give at least 3 (train, valid, test)", line)

    def _check_scores(self, content: dict[str, Any], line: int | None) -> None:
        file, scores, kind = "task_metadata.json", content["evaluation"], content["embedding_type"]
        if not isinstance(scores, list) or not scores:
            self.error(file, f"evaluation is {scores!r}; give a list of scores, the first to select the probe", line)
            return
        fitting, other = (EVENT_SCORES, SCENE_SCORES) if kind == "event" else (SCENE_SCORES, EVENT_SCORES)
        for score in scores:
            if score in LAUNCHER_SCORES and (kind, content.get("prediction_type")) == ("scene", "multilabel"):
                self.warn(file, f"only python -m sonyc_tasks.heareval has the score {score}; run that instead", line)
            elif score in LAUNCHER_SCORES:
                self.error(file, f"{score} scores only multilabel scene tasks; choose from {', '.join(fitting)}", line)
            elif score in other:
                self.error(file, f"{score} does not score {kind} tasks; choose from {', '.join(fitting)}", line)
            elif score not in fitting:
                self.error(file, f"heareval has no score {score!r}; choose from {', '.join(fitting)}", line)

    def read_vocabulary(self) -> None:
        file = "labelvocabulary.csv"
        text = self._text(file)
        if text is not None:
            self.vocabulary, faults = read_vocabulary(text)
            for line, fault in faults:
                self.error(file, fault, line)

    def read_splits(self) -> None:
        seen: dict[str, str] = {}
        for split in self.metadata["splits"]:
            file = f"{split}.json"
            content, lines = self._json(file)
            if content is None:
                continue
            if not content:
                self.error(file, "the split has no clips; add some", 1)
            self.splits[split], self.lines[split] = {}, lines
            for clip, labels in content.items():
                line = lines.get(clip)
                if clip in seen:
                    self.error(file, f"{clip} is also in {seen[clip]}; keep it in one split", line)
                seen.setdefault(clip, f"{split}.json:{line}")
                if not is_plain_name(clip):
                    self.error(file, f"{clip!r} is a path, but heareval makes no folders; give a plain file name", line)
                    continue
                if isinstance(labels, list):
                    self.splits[split][clip] = labels
                    self._check_labels(file, line, clip, labels)
                else:
                    self.splits[split][clip] = []
                    self.error(file, f"the labels of {clip} are {labels!r}; give a list", line)

    def _check_labels(self, file: str, line: int | None, clip: str, labels: list[Any]) -> None:
        if self.metadata["embedding_type"] == "event":
            labels = [event["label"] for event in labels if self._is_event(file, line, clip, event)]
        elif self.metadata["prediction_type"] == "multiclass" and len(labels) != 1:
            self.error(file, f"{clip} has {len(labels)} labels in a multiclass task; give exactly one", line)
        for label in labels if self.vocabulary else ():
            if str(label) in self.vocabulary.values():
                continue
            if str(label) in self.vocabulary:
                reading = f"becomes {self.vocabulary[str(label)]} in pandas, which heareval uses"
                self.error(file, f"{label!r}, a label of {clip}, {reading}; use a label that is clearly text", line)
            else:
                self.error(file, f"{label!r}, a label of {clip}, is not in labelvocabulary.csv; add or fix it", line)

    def _is_event(self, file: str, line: int | None, clip: str, event: Any) -> bool:
        if not isinstance(event, dict) or not {"label", "start", "end"} <= event.keys():
            self.error(file, f"an event of {clip} is {event!r}; give label, start and end (ms)", line)
            return False
        start, end, seconds = event["start"], event["end"], self.metadata["sample_duration"]
        if not _is_number(start) or not _is_number(end) or start < 0 or end <= start:
            self.error(file, f"an event of {clip} is from {start!r} to {end!r}; give 0 <= start < end in ms", line)
        elif seconds is not None and end > seconds * 1000:
            self.error(file, f"an event of {clip} ends at {end} ms, after the clip's {seconds} s; cut it there", line)
        return True

    def check_probes(self) -> None:
        """Find what crashes heareval's probes, and classes that make its scores undefined or meaningless."""
        if len(self.splits) == len(self.metadata["splits"]):
            for file, fault in probe_faults(self.metadata, {split: len(own) for split, own in self.splits.items()}):
                self.error(file, fault)
        if self.vocabulary and self.scores_known:
            classes = {split: [self._classes(own) for own in clips.values()] for split, clips in self.splits.items()}
            for file, fault in probe_warnings(self.metadata, classes, list(self.vocabulary.values())):
                self.warn(file, fault)

    def _classes(self, labels: list[Any]) -> set[str]:
        if self.metadata["embedding_type"] == "event":
            labels = [event["label"] for event in labels if isinstance(event, dict) and "label" in event]
        return set(map(str, labels))

    def check_times(self) -> None:
        """Warn of times of events that seem to be in seconds, and of clips that may have only one frame."""
        if self.metadata["embedding_type"] != "event":
            return
        seconds = self.metadata["sample_duration"]
        events = [event for clips in self.splits.values() for own in clips.values() for event in own]
        ends = [event["end"] for event in events if isinstance(event, dict) and _is_number(event.get("end"))]
        if ends and max(ends) <= (seconds or 60):
            self.warn(
                "task_metadata.json",
                f"no event ends after {max(ends)} ms; convert the times to milliseconds if they are in seconds",
            )
        effect = "too short for two frames, and heareval crashes on one; make it longer"
        if seconds is not None and seconds < TWO_FRAMES:
            self.warn("task_metadata.json", f"sample_duration is {seconds} s, {effect}")
        elif seconds is None:
            clips = {split: list(own) for split, own in self.splits.items() if split != "train"}
            for split, clip, duration in short_clips(self.folder, clips, TWO_FRAMES):
                self.warn(f"{split}.json", f"{clip} lasts {duration:g} s, {effect}", self.lines[split].get(clip))

    def check_audio(self) -> None:
        clips = {split: list(labels) for split, labels in self.splits.items()}
        for split, clip, message in audio_faults(self.folder, clips, self.metadata["sample_duration"]):
            line = None if split is None else self.lines[split].get(clip)
            self.error(f"{split or 'task_metadata'}.json", message, line)

    def check_duplicates(self) -> None:
        """Warn of recordings that are in two splits, whatever their names: the probe is tested on what it has seen."""
        clips = {split: list(labels) for split, labels in self.splits.items()}
        for (first, known), *others in between_splits(self.folder, clips):
            for split, clip in others:
                if split != first:
                    self.warn(
                        f"{split}.json",
                        f"{clip} is the same recording as {known} in {first}; keep both in one split, or remove one",
                        self.lines[split].get(clip),
                    )

    def _text(self, file: str) -> str | None:
        try:
            return (self.folder / file).read_bytes().decode("utf-8")  # without changing line ends, which pandas keeps
        except FileNotFoundError:
            self.error(file, "the file is missing; write it, as heareval needs it")
        except (OSError, UnicodeDecodeError) as error:
            self.error(file, f"the file cannot be read ({error}); write it again, in UTF-8")
        return None

    def _json(self, file: str) -> tuple[dict[str, Any] | None, dict[str, int]]:
        """Return the JSON object in a file, and the first line of each key."""
        text = self._text(file)
        if text is None:
            return None, {}
        content, lines, faults = parse(text)
        for line, fault in faults:
            self.error(file, fault, line)
        return content, lines


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
