"""Hosts of the race in network namespaces of their own, each behind a link.

This process moves into a new namespace, where the server and the writers run, with
a bridge. Each host is one more namespace, behind one end of a veth pair. All have no
names: the kernel removes them with the last process in them, however that ends.
Root is needed, or a user namespace in which one is root:

    unshare --user --map-root-user python tests/tier/race.py --namespaces

    python tests/tier/namespaces.py     # say why it does not work here, if so
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ADDRESS = "10.77.0.1"  # of the server
PORT = 6379
_NETWORK = 0x40000000  # CLONE_NEWNET
_DELAY = ("root", "netem", "delay", "5ms", "3ms")
_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaces(Exception):
    """Namespaces cannot be had here; it says why."""


def _run(*words: str) -> str:
    """Return what a program prints. Raises NoNamespaces with its words."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NoNamespaces(f"there is no {words[0]}") from error
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise NoNamespaces(f"{' '.join(words)}: {reason}")
    return done.stdout


def _call(name: str, *args: int) -> None:
    """Call a function of the system. Raises NoNamespaces with its error."""
    if getattr(_libc, name)(*args):
        raise NoNamespaces(f"{name}: {os.strerror(ctypes.get_errno())}")


class Network:
    """The namespaces of a race; this process stays in that of the server.

    Args:
        hosts: How many there are.

    Raises:
        NoNamespaces: Something that they need is missing.
    """

    def __init__(self, hosts: int) -> None:
        self._holders: list[subprocess.Popen[bytes]] = []
        _call("unshare", _NETWORK)
        try:
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "add", "bridge", "type", "bridge")
            _run("ip", "address", "add", f"{ADDRESS}/24", "dev", "bridge")
            _run("ip", "link", "set", "bridge", "up")
            for host in range(hosts):
                self._add(host)
        except BaseException:
            self.close()
            raise

    def _add(self, host: int) -> None:
        """Make a host, that is a process that keeps its namespace, and its link."""
        words = (sys.executable, __file__, "--hold")
        pipe = subprocess.PIPE
        holder = subprocess.Popen(words, stdin=pipe, stdout=pipe)
        self._holders.append(holder)
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise NoNamespaces("a second namespace cannot be made")
        inside = ("nsenter", "--target", str(holder.pid), "--net", "ip")
        link, address = f"host{host}", f"{ADDRESS[:-1]}{host + 2}/24"
        peer = ("peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "add", link, "type", "veth", *peer)
        _run("ip", "link", "set", link, "master", "bridge", "up")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "address", "add", address, "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")

    def enter(self, host: int) -> None:
        """Move this thread, and those that it starts, to a host."""
        file = os.open(f"/proc/{self._holders[host].pid}/ns/net", os.O_RDONLY)
        try:
            _call("setns", file, _NETWORK)
        finally:
            os.close(file)

    def cut(self, host: int) -> None:
        """Take the link of a host down: what is sent gets lost, nobody is told."""
        _run("ip", "link", "set", f"host{host}", "down")

    def mend(self, host: int) -> None:
        """Take the link up again."""
        _run("ip", "link", "set", f"host{host}", "up")

    def delay(self, host: int) -> None:
        """Let what is sent to a host take longer, now more, now less."""
        _run("tc", "qdisc", "replace", "dev", f"host{host}", *_DELAY)

    def hurry(self, host: int) -> None:
        """End that."""
        _run("tc", "qdisc", "delete", "dev", f"host{host}", "root")

    def can_delay(self) -> bool:
        """Tell whether this kernel can delay."""
        try:
            self.delay(0)
            self.hurry(0)
        except NoNamespaces:
            return False
        return True

    def close(self) -> None:
        """End the hosts."""
        for holder in self._holders:
            holder.kill()
            holder.communicate()


def why_not() -> str:
    """Return why there can be no namespaces here, having tried; "" if there can be."""
    words = (sys.executable, __file__)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def _try() -> None:
    try:
        network = Network(2)
    except NoNamespaces as error:
        sys.exit(f"no network namespaces: {error}")
    try:
        network.cut(1)
        network.mend(1)
        network.enter(1)
    finally:
        network.close()


def _hold() -> None:
    """Keep a new namespace until the one who started this ends."""
    _call("unshare", _NETWORK)
    print(Path("/proc/self/ns/net").readlink(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _hold() if "--hold" in sys.argv else _try()
