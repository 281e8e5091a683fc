"""The model as an audio encoder of X-ARES (arXiv 2505.16369), which probes the frames of each clip.

``python -m xares.run --max-jobs 0 hear_multiview/adapters/xares.py tasks/esc50_task.py`` runs one of its tasks with the
bundled model. X-ARES takes the one name in a file that ends in Encoder, makes it without arguments, and keeps
embeddings and scores under that name. For another view or checkpoint, write a subclass with its own name in its own
file, which imports this module and not the class.

Two undocumented properties of X-ARES 0.1.3: it returns the old scores of a name whatever has changed, even with
``force_encode`` and ``force_retrain_mlp``, which keep ``mlp_score.txt`` and ``knn_score.txt``; after a change of
weights, use another name or delete that name's folders. And on k-fold tasks, such as ESC-50, it keeps the epoch that is
best on the fold that it then scores, so its scores are too high.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from hear_multiview.api import get_timestamp_embeddings, load_model


class MultiviewEncoder(nn.Module):
    """Frames of the model that ``load_model(**options)`` gives.

    Attributes:
        sampling_rate: in Hz; X-ARES resamples to it.
        output_dim: of a frame.
        hop_size_in_ms: from frame to frame, not rounded: X-ARES places the labels of frames by it, and for a codec 12
            instead of 512 / 44.1 = 11.61 would shift them by a third of a second at 10 s.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.model = load_model(**options)
        self.sampling_rate = self.model.sample_rate
        self.output_dim = self.model.timestamp_embedding_size
        self.hop_size_in_ms = 1000 * self.model.frontend.hop * self.model.stride / self.model.sample_rate

    def forward(self, audio: Tensor) -> Tensor:
        """``audio`` [clip, sample] or [sample] to frames, float32 [clip, frame, ``output_dim``].

        X-ARES pads the clips of a batch with zeros and gives no lengths, so every clip is as long as the longest, and
        its score includes frames of padding; set ``batch_size_encode=1`` in a task's config to avoid that. A clip
        shorter than half a frame is padded to half a frame, which gives it one frame.

        Raises:
            ValueError: as for `hear_multiview.get_timestamp_embeddings`, also for audio without samples.
        """
        clips = audio[None] if audio.ndim == 1 else audio
        # More clips than samples cannot be [clip, sample], and are refused below as too short.
        short = clips.ndim == 2 and 0 < len(clips) <= clips.shape[1]
        missing = math.ceil(self.model.frontend.hop / 2) - clips.shape[1] if short else 0
        return get_timestamp_embeddings(nn.functional.pad(clips, (0, max(0, missing))), self.model)[0]
