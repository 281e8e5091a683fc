"""Each term against a float64 reference written as loops from its equation, and what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.systems.sampling.methods import Bilinear, Cosine, SamplingOutput
from training.systems.sampling.objectives import OBJECTIVES

TEMPERATURE = 0.3


def output(
    seed: int, examples: int = 3, frames: int = 4, similarity: str = "cosine", own: bool = True
) -> SamplingOutput:
    """What the method could return, at random; frames are right for themselves (``own``), or beside each other."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def compare() -> Bilinear | Cosine:
        if similarity == "cosine":
            return Cosine(TEMPERATURE)
        bilinear = Bilinear(5)
        bilinear.weight.data = draw(5, 5)
        return bilinear

    apart = (torch.arange(frames)[:, None] - torch.arange(frames)).abs()
    return SamplingOutput(
        clip=(draw(examples, 5), draw(examples, 5)),
        clip_similarity=compare(),
        frame=(draw(examples, frames, 5), draw(examples, frames, 5)),
        frame_similarity=compare(),
        positive=apart == 0 if own else apart == 1,
        candidate=apart >= 0 if own else apart > 0,
        shift_hat=draw(examples, frames),
        shift=draw(examples),
    )


def reference_similarity(compare: object, a: np.ndarray, b: np.ndarray) -> float:
    """aᵀ W b, or cos(a, b) / τ."""
    if isinstance(compare, Bilinear):
        return float(sum(a[i] * compare.weight[i, j].item() * b[j] for i in range(len(a)) for j in range(len(b))))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)) / TEMPERATURE)


def reference_clip_contrast(out: SamplingOutput) -> float:
    """−E_i log( exp s(z_1^i, z_2^i) / Σ_j exp s(z_1^i, z_2^j) )."""
    z_1, z_2 = (z.detach().double().numpy() for z in out.clip)
    terms = []
    for i in range(len(z_1)):
        s = np.array([reference_similarity(out.clip_similarity, z_1[i], z) for z in z_2])
        terms.append(np.log(np.exp(s - s[i]).sum()))
    return float(np.mean(terms))


def reference_frame_contrast(out: SamplingOutput) -> float:
    """−E log( exp s(a_t, b_s) / Σ_{u ∈ C_t} exp s(a_t, b_u) ) over segments, frames t and s ∈ P_t."""
    terms = []
    for a, b in zip(*(z.detach().double().numpy() for z in out.frame), strict=True):
        for t in range(len(a)):
            s = [reference_similarity(out.frame_similarity, a[t], z) for z in b]
            for right in np.flatnonzero(out.positive[t]):
                terms.append(np.log(sum(np.exp(s[u] - s[right]) for u in np.flatnonzero(out.candidate[t]))))
    return float(np.mean(terms)) if terms else 0.0


def reference_pitch_regression(out: SamplingOutput) -> float:
    """E (estimate − shift)², over examples and frames."""
    assert out.shift_hat is not None
    assert out.shift is not None
    estimate, shift = out.shift_hat.double().numpy(), out.shift.double().numpy()
    return float(np.mean([(x - shift[i]) ** 2 for i in range(len(shift)) for x in estimate[i]]))


REFERENCES: dict[str, Callable[[SamplingOutput], float]] = {
    "clip_contrast": reference_clip_contrast,
    "frame_contrast": reference_frame_contrast,
    "pitch_regression": reference_pitch_regression,
}


def test_every_objective_has_a_reference() -> None:
    assert REFERENCES.keys() == OBJECTIVES.keys()


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(OBJECTIVES)),
    seed=st.integers(0, 1000),
    examples=st.integers(1, 4),
    frames=st.integers(1, 5),
    similarity=st.sampled_from(["bilinear", "cosine"]),
    own=st.booleans(),
)
def test_against_the_formula(name: str, seed: int, examples: int, frames: int, similarity: str, own: bool) -> None:
    out = output(seed, examples, frames, similarity, own)
    assert OBJECTIVES[name](out).item() == pytest.approx(REFERENCES[name](out), rel=1e-4, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), examples=st.integers(2, 6), similarity=st.sampled_from(["bilinear", "cosine"]))
def test_the_order_of_examples_does_not_matter(seed: int, examples: int, similarity: str) -> None:
    out = output(seed, examples, similarity=similarity)
    order = torch.randperm(examples)
    assert out.shift_hat is not None
    assert out.shift is not None
    shuffled = replace(
        out,
        clip=(out.clip[0][order], out.clip[1][order]),
        frame=(out.frame[0][order], out.frame[1][order]),
        shift_hat=out.shift_hat[order],
        shift=out.shift[order],
    )
    for objective in OBJECTIVES.values():
        assert objective(shuffled).item() == pytest.approx(objective(out).item(), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_a_cosine_knows_no_length_and_a_bilinear_form_does(seed: int, scale: float) -> None:
    out = output(seed)
    longer = replace(out, clip=(out.clip[0] * scale, out.clip[1]))
    assert OBJECTIVES["clip_contrast"](longer).item() == pytest.approx(
        OBJECTIVES["clip_contrast"](out).item(), rel=1e-4
    )
    bilinear = replace(out, clip_similarity=output(seed, similarity="bilinear").clip_similarity)
    logits = bilinear.clip_similarity(scale * out.clip[0], out.clip[1])
    torch.testing.assert_close(logits, scale * bilinear.clip_similarity(*out.clip))


def test_views_that_agree_lower_the_contrast() -> None:
    out = output(0, examples=8, frames=6)
    (clip, _), (frame, _) = out.clip, out.frame
    agree = replace(out, clip=(clip, clip), frame=(frame, frame))
    mixed = replace(out, clip=(clip, clip.flip(0)), frame=(frame, frame.flip(1)))
    for name in ("clip_contrast", "frame_contrast"):
        assert OBJECTIVES[name](agree) < OBJECTIVES[name](mixed)


def test_without_anything_to_choose_from_there_is_no_loss() -> None:
    """One example, or one frame, is told from nothing; and a single frame has no neighbour."""
    out = output(0, examples=1, frames=1)
    assert OBJECTIVES["clip_contrast"](out).item() == 0
    assert OBJECTIVES["frame_contrast"](out).item() == 0
    alone = output(0, examples=2, frames=1, own=False)
    z = alone.frame[0].requires_grad_()
    loss = OBJECTIVES["frame_contrast"](alone)
    loss.backward()
    assert loss.item() == 0
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_the_right_shift_at_every_frame_is_no_loss() -> None:
    out = output(0)
    assert out.shift is not None
    right = replace(out, shift_hat=out.shift[:, None].expand(3, 4))
    assert OBJECTIVES["pitch_regression"](right).item() == 0


def test_a_shift_needs_a_shifted_view() -> None:
    with pytest.raises(ValueError, match=r"pitch_regression.*crops_and_shifted"):
        OBJECTIVES["pitch_regression"](replace(output(0), shift_hat=None, shift=None))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("similarity", ["bilinear", "cosine"])
def test_gradients_are_finite_and_reach_the_encoder(name: str, similarity: str) -> None:
    out = output(0, similarity=similarity)
    reached = {"clip_contrast": out.clip[1], "frame_contrast": out.frame[1], "pitch_regression": out.shift_hat}[name]
    assert reached is not None
    reached.requires_grad_()
    OBJECTIVES[name](out).backward()
    assert reached.grad is not None
    assert torch.isfinite(reached.grad).all()
    assert reached.grad.abs().sum() > 0
