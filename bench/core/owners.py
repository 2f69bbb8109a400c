"""Names for files of one running process, from which other processes can see whether it has ended."""

from __future__ import annotations

import functools
import os
import re
import secrets
import socket
from pathlib import Path


@functools.lru_cache(maxsize=1)
def host() -> str:
    """Return this machine's name with its process namespace, in characters that file names may hold.

    Containers of one image may share a host name; their process numbers are distinguished by the namespace.
    """
    try:
        space = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        space = ""
    name = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40] or "host"
    return f"{name}_{space}" if space else name


def _birth(process: int) -> str:
    """Return boot and start time, which distinguish a process from later ones of the same number; ``0`` if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        # The command's name, in parentheses, may hold spaces; the start time is the 20th field after it.
        ticks = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
    return f"{boot}{ticks}"


def owner_tag() -> str:
    """Return a name for a file of this process: ``host-pid-birth-token``; no two calls give the same."""
    return f"{host()}-{os.getpid()}-{_birth(os.getpid())}-{secrets.token_hex(4)}"


def owner_is_gone(tag: str) -> bool | None:
    """Return whether the process of an `owner_tag` has ended; None where it ran on another machine.

    Text that is no tag has no owner, as if its process had ended.
    """
    parts = tag.rsplit("-", 3)
    if len(parts) != 4 or not parts[1].isdigit():
        return True
    where, process, birth, _ = parts
    if where != host():
        return None
    try:
        os.kill(int(process), 0)
    except PermissionError:
        pass  # it is alive, and another user's
    except (OSError, OverflowError):
        return True
    return birth != "0" and _birth(int(process)) not in (birth, "0")
