"""Build of `fastmmap._core`. Everything else is in pyproject.toml.

Switches, by environment:
  FASTMMAP_DEBUG=1        assertions, and each page is verified after a change
  FASTMMAP_SANITIZE=...   address,undefined or thread
  FASTMMAP_COVERAGE=1     counters for gcov
  FASTMMAP_WERROR=1       all warnings, as errors
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

WARNINGS = "csrc/core/warnings.txt"
#: Of the C library, Python and zlib; a compiler may come without each.
HEADERS = ("stdint.h", "Python.h", "zlib.h")


def switch(name: str) -> str:
    """Return the value of a switch; "" and "0" are off."""
    value = os.environ.get(f"FASTMMAP_{name}", "")
    return "" if value == "0" else value


def compiler() -> list[str]:
    """Return the command of the C compiler."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def has_compiler() -> bool:
    """Return whether it is there."""
    return shutil.which(compiler()[0]) is not None


def optimize_flags() -> list[str]:
    """Return the flags that let GCC inline across the modules of a release.

    A get takes about three quarters of the time so. Other compilers need a
    linker plugin for it, which is often not there.
    """
    if any(map(switch, ("DEBUG", "SANITIZE", "COVERAGE"))) or not has_compiler():
        return []
    command = [*compiler(), "--version"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return ["-flto=auto"] if "Free Software Foundation" in done.stdout else []


def compile_flags() -> list[str]:
    """Return the flags of the C compiler."""
    # Python's flags bring -DNDEBUG, but those in CFLAGS take their place.
    flags = ["-std=c11", "-O3", "-DNDEBUG", "-fvisibility=hidden", "-pthread"]
    flags += optimize_flags()
    if switch("DEBUG"):
        flags += ["-O1", "-g", "-UNDEBUG", "-DFMM_DEBUG=1"]
    if switch("SANITIZE"):
        flags += [f"-fsanitize={switch('SANITIZE')}", "-fno-sanitize-recover=all"]
        flags += ["-fno-omit-frame-pointer", "-g", "-UNDEBUG"]
    if switch("COVERAGE"):
        flags += ["--coverage", "-O0"]
    if switch("WERROR"):
        # Python's own headers are not held to our warnings.
        flags += [*Path(WARNINGS).read_text("utf-8").split(), "-Werror"]
        flags += ["-isystem", sysconfig.get_path("include")]
    return flags


def link_flags() -> list[str]:
    """Return the flags of the linker."""
    flags = ["-pthread", *optimize_flags()]
    if switch("SANITIZE"):
        flags.append(f"-fsanitize={switch('SANITIZE')}")
    if switch("COVERAGE"):
        flags.append("--coverage")
    return flags


def missing_headers(folders: list[str]) -> list[str]:
    """Return the headers that the compiler does not find, of those we need."""
    search = [f"-I{folder}" for folder in folders]
    command = [*compiler(), *search, "-E", "-x", "c", "-o", os.devnull, "-"]

    def found(name: str) -> bool:
        source = f"#include <{name}>\n"
        done = subprocess.run(
            command, check=False, input=source, capture_output=True, text=True
        )
        return done.returncode == 0

    return [name for name in HEADERS if not found(name)]


def cannot_find(what: str) -> PlatformError:
    """Return the error that says what a build needs and lacks."""
    return PlatformError(
        f"fastmmap is written in C, and its build does not find {what}: install a C "
        "compiler and the headers of Python and zlib (on Debian or Ubuntu: apt-get "
        "install build-essential zlib1g-dev python3-dev), or let pip take a wheel"
    )


class Build(build_ext):
    """Compile, if everything for that is there."""

    def build_extensions(self) -> None:
        """Say in a sentence what is missing."""
        if not has_compiler():
            raise cannot_find(f"the compiler {compiler()[0]!r}")
        try:
            super().build_extensions()
        except CompileError as error:  # flags may bring headers: ask afterwards
            missing = missing_headers(self.include_dirs)
            if missing:
                raise cannot_find(", ".join(missing)) from error
            raise


setup(
    cmdclass={"build_ext": Build},
    ext_modules=[
        Extension(
            "fastmmap._core",
            sources=sorted(glob("csrc/python/*.c") + glob("csrc/core/*.c")),
            depends=sorted(glob("csrc/*/*.h")),
            include_dirs=["csrc/core"],
            libraries=["z"],
            extra_compile_args=compile_flags(),
            extra_link_args=link_flags(),
        )
    ],
)
