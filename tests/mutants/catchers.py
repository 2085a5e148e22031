"""The programs that may notice a broken engine, and how they are built.

They are built from a copy of the sources, where a defect is put into one file
while that is compiled. A variant is one set of flags. Its sound objects are built
once; a mutant takes them by hard links, and makes only what its own defect is in.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edits import ROOT, broken
from engine_breaks import Break

CORE = ROOT / "csrc" / "core"
FUZZ = ROOT / "tests" / "fuzz"
OUT = ROOT / "build" / "mutants"
SOURCES = OUT / "sources"
COPIED = ("csrc/core", "tests/c", "tests/fuzz")
FUZZ_SECONDS = 40
#: Where files are not sealed: numbers change in place there.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
PATIENCE = 10  # times what the sound program took


@dataclass(frozen=True)
class Variant:
    """The folder of a Makefile, and its arguments."""

    folder: str
    arguments: tuple[str, ...]

    def make(self, build: Path, target: str) -> None:
        """Build one program below `build`; raises if that fails.

        Without warnings: a defect leaves things unused.
        """
        command = ["make", "-s", "-j1", "-C", str(SOURCES / self.folder)]
        command += [f"BUILD={build}", *self.arguments, "CPPFLAGS=-w"]
        command += [str(build / target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


VARIANTS = {
    "plain": Variant("csrc/core", ("CFLAGS=-O1 -g",)),
    "asan": Variant("csrc/core", ("CFLAGS=-O1 -g", "SANITIZE=address,undefined")),
    "fuzz": Variant("tests/fuzz", ()),
}


def copy_sources() -> None:
    """Bring the copy up to date.

    What is as it was keeps its time and what is not gets a new one, whatever its
    original has: an object may be younger than that, and made of what stood here.
    """
    paths = [path for folder in COPIED for path in (ROOT / folder).iterdir()]
    copies = {
        SOURCES / path.relative_to(ROOT): path
        for path in paths
        if path.suffix in (".c", ".h", ".txt") or path.name == "Makefile"
    }
    for path in SOURCES.rglob("*"):
        if path.is_file() and path not in copies:
            path.unlink()
    for copy, path in copies.items():
        if not is_same(path, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same; the other need not be there."""
    return other.exists() and filecmp.cmp(one, other, shallow=False)


@dataclass(frozen=True)
class Catcher:
    """A test program that may notice a mutant."""

    name: str
    program: str
    variant: str = "plain"
    arguments: tuple[str, ...] = ()
    corpus: str = ""  # of a fuzz target: its files are replayed, or grown

    def command(self, build: Path, scratch: Path) -> list[str]:
        """Return the command line; `scratch` is a new directory."""
        words = [str(build / self.program), *self.arguments]
        if self.variant == "fuzz":
            (scratch / "grown").mkdir()
            words += [f"-artifact_prefix={scratch}/", str(scratch / "grown")]
            return [*words, str(FUZZ / "corpus" / self.corpus)]
        if self.corpus:
            corpus = (FUZZ / "corpus" / self.corpus).iterdir()
            words += [str(path) for path in sorted(corpus)]
        return words

    def run(self, build: Path, seconds: float) -> str | None:
        """Run it; returns how it failed, or None if it passed."""
        with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
            process = subprocess.Popen(
                self.command(build, Path(scratch)),
                cwd=CORE,
                env={**os.environ, "TMPDIR": scratch},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return "hangs"
            finally:
                end_group(process)
        text = output.decode(errors="replace")
        return None if process.returncode == 0 else symptom(process.returncode, text)


def made_of(rule: Path) -> set[str]:
    """Return the names of the files that an object is made of, by its make rule."""
    return {Path(word).name for word in rule.read_text(encoding="utf-8").split()}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a program left behind, and the program itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


def symptom(code: int, output: str) -> str:
    """Say in a few words how a test program failed."""
    patterns = (
        r"Sanitizer: ([\w-]+)",
        r"runtime error: (.{1,60})",
        r"^(?:FAILED {1,5}|hung: )(?!\w+: \d)(.+)$",
        r"^\S*?(?:tests/\w+/)?(\w+\.c:\d+: .{1,60})",
    )
    for pattern in patterns:
        if found := re.search(pattern, output, re.MULTILINE):
            return found[1]
    return f"signal {-code}" if code < 0 else "fails"


class Sound:
    """The catchers on the engine as it is: what fails here catches nothing."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._patience: dict[str, float] = {}

    def patience(self, catcher: Catcher) -> float:
        """Return the seconds after which a program counts as hanging.

        Raises:
            SystemExit: the catcher fails on the sound engine.
        """
        if catcher.name not in self._patience:
            build = OUT / catcher.variant
            VARIANTS[catcher.variant].make(build, catcher.program)
            began = time.monotonic()
            how = catcher.run(build, 600)
            if how is not None:
                raise SystemExit(f"{catcher.name} fails on the sound engine: {how}")
            took = time.monotonic() - began
            self._patience[catcher.name] = max(10, PATIENCE * took)
        return self._patience[catcher.name]


class Broken:
    """One mutant in one variant: the sound objects, and the broken ones."""

    def __init__(self, mutant: Break, variant: str) -> None:
        """Link what is sound; what is broken is made later."""
        self.mutant = mutant
        files = {SOURCES / path for path, _, _ in mutant.edits}
        self.times = {path: path.stat().st_mtime_ns for path in files}
        self.variant = VARIANTS[variant]
        self.path = OUT / f"{mutant.name}-{variant}"
        shutil.rmtree(self.path, ignore_errors=True)
        subprocess.run(["cp", "-al", OUT / variant, self.path], check=True)
        for path in self._stale():
            path.unlink(missing_ok=True)

    def _stale(self) -> list[Path]:
        names = {file.name for file in self.times}
        rules = [path for path in self.path.rglob("*.d") if names & made_of(path)]
        stale = [rule.with_suffix(end) for rule in rules for end in (".o", ".d")]
        programs = [*self.path.glob("**/test_*"), *self.path.glob("**/fuzz_*")]
        stale += [path for path in programs if not path.suffix]
        return [*stale, self.path / "libfmm.a"]

    def make(self, catcher: Catcher) -> None:
        """Build one catcher. What is broken is missing: times need not change."""
        with broken(SOURCES, self.mutant.name, self.mutant.edits):
            self._keep_times()
            self.variant.make(self.path, catcher.program)
        self._keep_times()

    def _keep_times(self) -> None:
        for path, time_ns in self.times.items():
            os.utime(path, ns=(time_ns, time_ns))

    def run(self, catcher: Catcher, seconds: float, tries: int) -> str | None:
        """Run one catcher; returns how it noticed, or None."""
        self.make(catcher)
        hows = (catcher.run(self.path, seconds) for _ in range(tries))
        return next(filter(None, hows), None)

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path)


def c_test(name: str, variant: str = "plain", *arguments: str) -> Catcher:
    """Name a program of tests/c."""
    where = "" if variant == "plain" else f"@{variant}"
    shown = " ".join([f"test_{name}{where}", *arguments])
    return Catcher(shown, f"tests/test_{name}", variant, arguments)


def replay(target: str) -> Catcher:
    """Name the corpus of a fuzz target, with sanitizers."""
    return Catcher(f"replay_{target}", f"fuzz/fuzz_{target}", "asan", (), target)


def fuzzer(target: str, length_max: int) -> Catcher:
    """Name a fuzzer; the same seed each time."""
    limits = (f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=1024")
    arguments = (*limits, "-seed=1", f"-max_len={length_max}")
    return Catcher(f"fuzz_{target}", f"fuzz_{target}", "fuzz", arguments, target)


UNIT = (
    "entry ring header options page index verify cache scan dirty modseq evict lease "
    "lease_end parts directory groups hand turn victim grow mismatch memory near seal "
    "reboot"
)
CATCHERS = (
    *(c_test(name) for name in UNIT.split()),
    *(
        c_test(name)
        for name in ("lock", "client", "file", "guard", "golden", "read", "hostile")
    ),
    *(c_test(name) for name in ("read_order", "crash_order", "crash_takeover")),
    *(c_test(name) for name in ("crash_open", "file_steps", "file_race")),
    *(c_test(name) for name in ("process", "threads", "random_model", "kill_storm")),
    *(
        c_test("crash_order", "plain", part, "30")
        for part in ("full", "place", "lease", "group")
    ),
    c_test("read_order", "plain", "all"),
    *(c_test(name, "asan") for name in ("entry", "header", "dirty", "scan", "cache")),
    *(c_test(name, "asan") for name in ("page", "evict", "hostile", "random_model")),
    *(replay(target) for target in ("page", "file", "ops", "race")),
    *(fuzzer(*one) for one in (("page", 8512), ("file", 12600), ("ops", 400))),
    fuzzer("race", 8768),
)
BY_NAME = {catcher.name: catcher for catcher in CATCHERS}
