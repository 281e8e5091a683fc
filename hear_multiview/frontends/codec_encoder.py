"""descript-audio-codec's encoder for inference: the same function, at the speed of the machine's own convolutions.

On a CPU three things make the difference. Activations lie channels last and weights in oneDNN's own blocks, so that no
convolution has to rearrange anything. A residual unit adds while it writes. And the activation is a single pass
(`hear_multiview.frontends.snake`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hear_multiview.frontends.snake import Snake


class Convolution(nn.Module):
    """A convolution over steps."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv1d) -> None:
        """The same as ``conv``, which loses its weight norm: g · v / |v| is computed once."""
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the codec uses the older of torch's two weight norms
            nn.utils.remove_weight_norm(conv)
        assert conv.bias is not None
        self.register_buffer("weight", conv.weight.detach()[:, :, None])
        self.register_buffer("bias", conv.bias.detach().clone())  # a view of the file would keep all of it in memory
        (self.stride,), (self.dilation,), self.padding = conv.stride, conv.dilation, int(conv.padding[0])
        self._packed: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """x [clip, channel, 1, step]; added to ``onto`` in place, where given. On a CPU both lie channels last."""
        geometry = [0, self.padding], [1, self.stride], [1, self.dilation]
        if not _packs(x):
            y = nn.functional.conv2d(x, self.weight, self.bias, geometry[1], geometry[0], geometry[2])
            return y if onto is None else onto.add_(y)
        if self._packed is None or self._packed[0] is not self.weight:  # a new one where it was moved or converted
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *geometry, 1, list(x.shape))
            self._packed = self.weight, packed
        arguments = x, self._packed[1], self.bias, *geometry, 1
        if onto is None:
            return torch.ops.mkldnn._convolution_pointwise(*arguments, "none", [], "")
        return torch.ops.mkldnn._convolution_pointwise_.binary(onto, *arguments, "add", 1.0, None, [], None)


def _packs(x: Tensor) -> bool:
    """Whether torch has oneDNN's convolution with weights in its own blocks, for the likes of ``x``."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class ResidualUnit(nn.Module):
    """Two activations and convolutions, the second onto the input, which is overwritten."""

    def __init__(self, block: nn.Sequential) -> None:
        super().__init__()
        self.block = nn.Sequential(*(part for layer in block for part in _converted(layer)))

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, 1, step], and so is the result."""
        snake_1, convolution_1, snake_2, convolution_2 = self.block
        y = convolution_1(snake_1(x))
        return convolution_2(snake_2(y, overwrite=True), onto=x)


class Stage(nn.Module):
    """Consecutive layers of the encoder, which divide the number of steps by ``hop``.

    Attributes:
        hop: input steps an output step.
        context: output steps' worth of input on either side after which the layers' zero padding is not felt any more.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        """``layers``: of descript-audio-codec's encoder."""
        super().__init__()
        self.layers = nn.Sequential(*(new for layer in layers for new in _converted(layer)))
        self.hop, self.context = _reach(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, 1, step] to [clip, channel, 1, step / hop]."""
        return self.layers(x)


def _converted(layer: nn.Module) -> Iterator[nn.Module]:
    from dac.model import dac
    from dac.nn.layers import Snake1d

    if isinstance(layer, dac.ResidualUnit):
        yield ResidualUnit(layer.block)
    elif isinstance(layer, dac.EncoderBlock):
        for part in layer.block:
            yield from _converted(part)
    elif isinstance(layer, Snake1d):
        yield Snake(layer.alpha)
    else:
        assert isinstance(layer, nn.Conv1d)
        yield Convolution(layer)


def _reach(layers: nn.Module) -> tuple[int, int]:
    """A stage's hop and context.

    The layers are a chain of convolutions (residual branches only add shorter paths), so reaches add up: each sees
    ``padding`` of its input steps to the left and ``dilation · (kernel − 1) − padding`` to the right.
    """
    left = right = 0
    hop = 1  # of the stage's input steps, a step of this layer's input
    for module in layers.modules():
        if isinstance(module, Convolution):
            left += module.padding * hop
            right += (module.dilation * (module.weight.shape[-1] - 1) - module.padding) * hop
            hop *= module.stride
    return hop, max(math.ceil(left / hop), math.ceil((right + 1) / hop) - 1)
