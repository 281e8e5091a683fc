"""descript-audio-codec's encoder for inference: the same function, at the speed of the machine's own convolutions.

It is written out here, from the tensors of a weight file, because importing the codec's own package takes seconds and
half a gigabyte; the tests compare the two.

Three things make it fast on a CPU. Activations are channels last and weights in oneDNN's own blocks, so no convolution
has to rearrange anything. A residual unit adds while it writes. And the activation is a single pass over memory
(`hear_multiview.frontends.dac.snake`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hear_multiview import onednn
from hear_multiview.frontends.dac.snake import Snake

#: Tensors by name, as in a file of descript-audio-codec.
StateDict = Mapping[str, Tensor]


class Convolution(nn.Module):
    """A weight-normalised convolution over the steps of x [clip, channel, 1, step]."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tensors: StateDict, *, padding: int, stride: int = 1, dilation: int = 1) -> None:
        """``tensors``: ``bias`` [out], and of the weight norm g · v / |v|, which is computed once, ``weight_v`` [out,
        in, tap] and ``weight_g`` [out, 1, 1]."""
        super().__init__()
        v = tensors["weight_v"].float()
        weight = v * (tensors["weight_g"].float() / torch.linalg.vector_norm(v, dim=(1, 2), keepdim=True))
        self.register_buffer("weight", weight[:, :, None])
        self.register_buffer("bias", tensors["bias"].float().clone())  # a view would keep the whole file in memory
        self.padding, self.stride, self.dilation = padding, stride, dilation
        self.geometry = onednn.geometry(padding, stride, dilation)
        self._packed: tuple[Tensor, int | None, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weights, which cannot be copied or pickled; they are made again when they are needed."""
        return {**self.__dict__, "_packed": None}

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """x [clip, channel, 1, step]; added to ``residual`` in place, where given. On a CPU both lie channels last."""
        weight = self._blocks(x) if onednn.has_convolution(x) else self.weight
        return onednn.convolution(x, weight, self.bias, self.geometry, residual)

    def _blocks(self, x: Tensor) -> Tensor:
        """The weight in oneDNN's own blocks, kept until the weight is another tensor (moved, converted) or has another
        version (written to, as by ``load_state_dict``). Tensors made in inference mode have no version."""
        weight = self.weight
        version = None if weight.is_inference() else weight._version
        kept = self._packed
        if kept is None or kept[0] is not weight or version is None or kept[1] != version:
            self._packed = kept = weight, version, onednn.packed(weight, self.geometry, x)
        return kept[2]


class ResidualUnit(nn.Module):
    """Two activations and convolutions; their result is added to the input in place."""

    def __init__(self, tensors: StateDict, dilation: int) -> None:
        super().__init__()
        self.snake_1 = Snake(tensors["block.0.alpha"])
        self.convolution_1 = Convolution(_under("block.1.", tensors), padding=3 * dilation, dilation=dilation)
        self.snake_2 = Snake(tensors["block.2.alpha"])
        self.convolution_2 = Convolution(_under("block.3.", tensors), padding=0)

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, 1, step], and so is the result."""
        y = self.convolution_1(self.snake_1(x))
        return self.convolution_2(self.snake_2(y, overwrite=True), residual=x)


class Stage(nn.Module):
    """Consecutive layers of the encoder, which divide the number of steps by ``hop``.

    Attributes:
        hop: input steps per output step.
        context: how far the layers' zero padding reaches into the output on either side, in output steps.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.hop, self.context = _reach(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """x [clip, channel, 1, step] to [clip, channel, 1, step / hop]."""
        return self.layers(x)


def stages(tensors: StateDict, rates: Sequence[int]) -> list[Stage]:
    """The encoder in three parts: all but the last two blocks; the last but one; the last one and what follows.

    Args:
        tensors: named as in ``dac.DAC.encoder``.
        rates: by which each block divides the number of steps.
    """
    blocks = [list(_block(_under(f"block.{k}.block.", tensors), rate)) for k, rate in enumerate(rates, start=1)]
    first = Convolution(_under("block.0.", tensors), padding=3)
    snake = Snake(tensors[f"block.{len(rates) + 1}.alpha"])
    final = Convolution(_under(f"block.{len(rates) + 2}.", tensors), padding=1)
    parts: list[list[nn.Module]] = [[first], *blocks, [snake, final]]
    return [Stage(itertools.chain.from_iterable(some)) for some in (parts[:-3], parts[-3:-2], parts[-2:])]


def _block(tensors: StateDict, stride: int) -> Iterator[nn.Module]:
    for k in range(3):
        yield ResidualUnit(_under(f"{k}.", tensors), dilation=3**k)
    yield Snake(tensors["3.alpha"])
    yield Convolution(_under("4.", tensors), padding=math.ceil(stride / 2), stride=stride)


def shapes(width: int, rates: Sequence[int], latent: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that `stages` needs, by name, for an encoder with ``width`` channels at first, twice as
    many after each block, and ``latent`` at the end."""
    found: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, out: int, into: int, taps: int) -> None:
        found[f"{name}.weight_v"], found[f"{name}.weight_g"] = (out, into, taps), (out, 1, 1)
        found[f"{name}.bias"] = (out,)

    convolution("block.0", width, 1, 7)
    for k, rate in enumerate(rates, start=1):
        for unit in range(3):
            for layer, taps in ((1, 7), (3, 1)):
                found[f"block.{k}.block.{unit}.block.{layer - 1}.alpha"] = (1, width, 1)
                convolution(f"block.{k}.block.{unit}.block.{layer}", width, width, taps)
        found[f"block.{k}.block.3.alpha"] = (1, width, 1)
        convolution(f"block.{k}.block.4", 2 * width, width, 2 * rate)
        width *= 2
    found[f"block.{len(rates) + 1}.alpha"] = (1, width, 1)
    convolution(f"block.{len(rates) + 2}", latent, width, 3)
    return found


def _under(prefix: str, tensors: StateDict) -> StateDict:
    """The ``tensors`` whose names begin with ``prefix``, by the rest of the name."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _reach(layers: nn.Module) -> tuple[int, int]:
    """A stage's hop and context.

    The layers are a chain of convolutions (residual branches only add shorter paths), so their reaches add up: each
    sees ``padding`` input steps to the left and ``dilation · (kernel − 1) − padding`` to the right.
    """
    left = right = 0
    hop = 1  # of the stage's input steps, a step of this layer's input
    for module in layers.modules():
        if isinstance(module, Convolution):
            left += module.padding * hop
            right += (module.dilation * (module.weight.shape[-1] - 1) - module.padding) * hop
            hop *= module.stride
    return hop, max(math.ceil(left / hop), math.ceil((right + 1) / hop) - 1)
