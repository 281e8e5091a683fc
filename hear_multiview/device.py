"""A device by its name, checked before any work."""

from __future__ import annotations


def usable_device(name: str) -> str:
    """``name``, if this machine has that device.

    Raises:
        ValueError: the device cannot be used.
    """
    import torch  # takes a second, which a command's --help does not need

    try:
        torch.zeros(1, device=name).tolist()  # a device without data, such as meta, has nothing to give
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ValueError(f"--device {name} cannot be used here ({reason}); use cpu, or cuda with a GPU") from None
    return name
