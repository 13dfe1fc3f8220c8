"""Processes and the network namespaces they are in. A pid alone is never trusted: it may have been recycled."""

import contextlib
import ctypes
import os
import pathlib
import signal


def start_time(pid):
    """When a process started, in clock ticks since boot; None when there is none, or only a zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def netns_id(path):
    """What identifies the network namespace that path (a process's ns/net, a name below /run/netns) refers to."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino)


def inside(namespaces):
    """The processes in network namespaces, which are given by their ids."""
    return [int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*") if netns_id(path / "ns/net") in namespaces]


def kill(pid, is_ours):
    """Kill a process if it is ours. While its pidfd is held, the pid checked and the process killed are the same."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_ours(pid):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def setns(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace", namespace.name)


@contextlib.contextmanager
def netns(path):
    """Be in another network namespace for a while; sockets stay in the one they were made in."""
    with open("/proc/self/ns/net", encoding="ascii") as here, open(path, encoding="ascii") as there:
        setns(there)
        try:
            yield
        finally:
            setns(here)
