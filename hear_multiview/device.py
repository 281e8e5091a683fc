"""A device by its name, checked before any work."""

from __future__ import annotations


def usable_device(name: str, *, auto: bool = False) -> str:
    """``name``, if this machine has that device.

    Args:
        name: as torch calls it.
        auto: whether the command also takes ``auto``, which the message then names.

    Raises:
        ValueError: the device cannot be used.
    """
    import torch  # takes a second, which a command's --help does not need

    try:
        torch.zeros(1, device=name).tolist()  # a device without data, such as meta, has nothing to give
    except (RuntimeError, AssertionError, ModuleNotFoundError) as error:  # the last one of a device without a module
        # What torch says of any other device is a list of all that it has ever known, or of all its backends.
        reason = f" ({str(error).splitlines()[0]})" if name.partition(":")[0] == "cuda" else ""
        choices = "cpu, cuda with a GPU, or auto" if auto else "cpu, or cuda with a GPU"
        raise ValueError(f"--device {name} cannot be used here{reason}; use {choices}") from None
    return name
