"""SONYC-UST-V2 as HEAR tasks: labelled clips, the splits of sensors and clips, task folders, and the score table.

``python -m sonyc_tasks --help`` lists the commands. From Python, the steps are `read_clips`, `sensor_split` and
`probe_split` here, `tasks.sonyc.build`, `tasks.validate.task.validate_task`, `scores.results.read_scores` and
`scores.score.score_table`.
"""

from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.splits import SensorSplit, probe_split, published_split, sensor_split

__all__ = ["Clip", "SensorSplit", "probe_split", "published_split", "read_clips", "sensor_split"]
