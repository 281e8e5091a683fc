"""SONYC-UST-V2 as HEAR tasks: labelled clips, the splits of sensors and clips, task folders, and the score table.

``python -m sonyc_tasks --help`` lists the commands. From Python, the steps are :func:`read_clips`,
:func:`sensor_split` and :func:`probe_split` here, :func:`sonyc_tasks.tasks.sonyc.build`,
:func:`sonyc_tasks.tasks.validate.task.validate_task`, :func:`sonyc_tasks.scores.results.read_scores` and
:func:`sonyc_tasks.scores.score.score_table`.
"""

from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.splits import SensorSplit, probe_split, published_split, sensor_split

__all__ = ["Clip", "SensorSplit", "probe_split", "published_split", "read_clips", "sensor_split"]
