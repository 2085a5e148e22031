"""The kinds of wheels that are published: systems, and how tools call them."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of wheel: the C library, its oldest version, the machine, zig's name."""

    libc: str
    version: tuple[int, int]
    machine: str
    target: str

    @property
    def tag(self) -> str:
        """Return the platform tag in the name of a wheel."""
        return f"{self.libc}_{self.version[0]}_{self.version[1]}_{self.machine}"

    @property
    def libraries(self) -> str:
        """Return what is linked with for the C library; wheels.py makes `musl`."""
        musl = "-Wl,--no-as-needed -lmusl"
        return musl if self.libc == "musllinux" else "-lc -lm -lpthread"

    @property
    def suffix(self) -> str:
        """Return what CPython calls the system in the names of extensions."""
        return f"{self.machine}-linux-{'musl' if self.libc == 'musllinux' else 'gnu'}"


KINDS = {
    kind.tag: kind
    for kind in (
        Kind("manylinux", (2, 28), "x86_64", "x86_64-linux-gnu.2.28"),
        Kind("manylinux", (2, 28), "aarch64", "aarch64-linux-gnu.2.28"),
        Kind("musllinux", (1, 2), "x86_64", "x86_64-linux-musl"),
    )
}
#: What this machine can install.
NATIVE = "manylinux_2_28_x86_64"
