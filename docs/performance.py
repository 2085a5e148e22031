"""The tables of performance.rst: what the benchmarks recorded.

Each function takes the results of one ``benchmarks/results/*.json`` and returns
rows. Run by tables.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Results = dict[str, Any]
Rows = list[list[str]]

ENGINE = "fastmmap"
PERL = "Cache::FastMmap"
OPERATIONS = ("get hit", "get miss", "set", "incr", "get dict", "set dict")
PERCENTILES = ("50", "90", "99", "99.9", "99.99", "100")
POLICIES = ("lru", "sieve", "s3fifo", "belady", PERL, ENGINE)
MEDIAN = "median"


def whole(figure: Results | None) -> str:
    """Return a median without decimals, and its spread; a dash for None."""
    if figure is None:
        return "-"
    return f"{figure[MEDIAN]:,.0f} ±{figure['spread']:.0%}"


def titled(results: Results, peer: str) -> str:
    """Return a peer's name and version."""
    return f"{peer} {results.get('versions', {}).get(peer, '')}".strip()


def by_peer(results: Results, columns: Iterable[str], figures: Results) -> Rows:
    """Return a row of medians for each peer."""
    names = list(columns)
    rows = [
        [titled(results, peer), *(whole(found.get(name)) for name in names)]
        for peer, found in figures.items()
    ]
    return [["", *names], *rows]


def basic(results: Results) -> Rows:
    """Return nanoseconds per call by operation."""
    return by_peer(results, OPERATIONS, results["results"])


def doors(results: Results) -> Rows:
    """Return nanoseconds per call of each front door, by whom."""
    rows = [
        [door, titled(results, who), whole(figure), beside(figure, found)]
        for door, found in results["results"].items()
        for who, figure in found.items()
    ]
    return [["call", "", "ns", f"{ENGINE} = 1"], *rows]


def beside(figure: Results, found: Results) -> str:
    """Return a median as a multiple of ours."""
    return f"{figure[MEDIAN] / found[ENGINE][MEDIAN]:.1f}"


def sizes(call: str) -> Callable[[Results], Rows]:
    """Return a table of one call by the value's size and kind."""

    def make(results: Results) -> Rows:
        found = results["results"]
        wanted = [name for name in found[ENGINE] if name.startswith(f"{call} ")]
        wanted += [f"{call} 262144"] if f"{call} 262144" not in wanted else []
        heading, *rows = by_peer(results, wanted, found)
        return [[name.removeprefix(f"{call} ") for name in heading], *rows]

    return make


def batch(results: Results) -> Rows:
    """Return nanoseconds per value, many at once and one by one."""
    names = ("get_many", "get", "set_many", "set")
    return by_peer(results, names, results["results"])


def parallel(kind: str) -> Callable[[Results], Rows]:
    """Return a table of calls per second by the number of workers."""

    def make(results: Results) -> Rows:
        found = results["results"][kind]
        counts = list(next(iter(next(iter(found.values())).values())))
        rows = [
            [titled(results, peer), mix, *(whole(rates[count]) for count in counts)]
            for peer, mixes in found.items()
            for mix, rates in mixes.items()
        ]
        return [["", "load", *counts], *rows]

    return make


def tail(results: Results) -> Rows:
    """Return microseconds by percentile."""
    rows = [
        [titled(results, peer), call, *(micro(found[p]) for p in PERCENTILES)]
        for peer, calls in results["results"].items()
        for call, found in calls.items()
    ]
    return [["", "call", *(f"p{p}" for p in PERCENTILES[:-1]), "most"], *rows]


def micro(figure: Results) -> str:
    """Return nanoseconds as microseconds."""
    return f"{figure[MEDIAN] / 1000:,.2f}"


def beside_dict(found: Results, unit: int = 1) -> Rows:
    """Return nanoseconds by a number, in units, and the ratio to dict."""
    ours, theirs = found[ENGINE], found["dict"]
    return [
        [
            f"{int(number) // unit:,}",
            call,
            whole(ours[number][call]),
            whole(theirs[number][call]),
            f"{ours[number][call][MEDIAN] / theirs[number][call][MEDIAN]:.1f}",
        ]
        for call in ("get", "set")
        for number in ours
    ]


def in_units(size: int) -> str:
    """Return a size in bytes as one says it."""
    for shift, unit in ((20, "MB"), (10, "KB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def fits(results: Results) -> Rows:
    """Return how many values a cache keeps, by their size and that of the file."""
    found = results["results"]
    heads = [f"{mib}m" for mib in next(iter(found.values()))]
    rows = [
        [
            in_units(int(size)),
            *("too large" if n is None else f"{n:,}" for n in counts.values()),
        ]
        for size, counts in found.items()
    ]
    return [["value", *heads], *rows]


def frames(what: str, digits: int) -> Callable[[Results], Rows]:
    """Return a table of large arrays and frames: by kind, size, peer and call."""

    def make(results: Results) -> Rows:
        rows = [
            [kind, mib, titled(results, peer), *cells(figures, digits)]
            for kind, sizes in results["results"].items()
            for mib, found in sizes.items()
            for peer, figures in found[what].items()
        ]
        return [["value", "MiB", "", "set", "get"], *rows]

    return make


def cells(figures: Results, digits: int) -> list[str]:
    """Return the medians of set and get."""
    return [f"{figures[call][MEDIAN]:,.{digits}f}" for call in ("set", "get")]


def kept(results: Results) -> Rows:
    """Return hit ratios of each workload beside those of LRU, in per cent."""
    rows = [
        [
            family,
            name,
            f"{100 * found['hits']:.1f}",
            f"{100 * found['lru']:.1f}",
            f"{100 * (found['hits'] - found['lru']):+.1f}",
        ]
        for family, workloads in results["results"].items()
        for name, found in workloads.items()
    ]
    return [["family", "workload", ENGINE, "LRU", "points"], *rows]


def growth(results: Results) -> Rows:
    """Return nanoseconds by the number of entries."""
    heads = ["entries", "call", ENGINE, "dict", "ratio"]
    return [heads, *beside_dict(results["results"])]


def growth_room(results: Results) -> Rows:
    """Return nanoseconds of a few entries by the size of the file."""
    heads = ["MiB", "call", ENGINE, "dict", "ratio"]
    return [heads, *beside_dict(results["by_room"], 1 << 20)]


def growth_bytes(results: Results) -> Rows:
    """Return nanoseconds by the size of a full cache."""
    found, held = results["by_bytes"][ENGINE], results["by_bytes"]["held"]
    rows = [
        [
            f"{int(size) >> 20:,}",
            f"{held[size]:,}",
            whole(calls["get"]),
            whole(calls["set"]),
        ]
        for size, calls in found.items()
    ]
    return [["MiB", "entries", "get", "set"], *rows]


def attach(results: Results) -> Rows:
    """Return milliseconds by operation, and until a peer's first answer."""
    rows = [
        [what, size, f"{figure[MEDIAN]:.4f} ±{figure['spread']:.0%}"]
        for what, found in results["results"].items()
        for size, figure in found.items()
    ]
    rows += [
        ["memory mapped after attach, KiB", size, f"{kib:,}"]
        for size, kib in results["resident_kib"].items()
    ]
    rows += [
        [f"open to first answer: {peer}", "", f"{figure[MEDIAN]:.4f}"]
        for peer, figure in results["first_answer"].items()
    ]
    return [["what", "file", "ms"], *rows]


def live(results: Results) -> Rows:
    """Return how full a cache is by the size of its entries."""
    rows = [
        [
            size if size != "0" else "mixed",
            f"{figures['live']:.3f}",
            f"{figures['payload']:.3f}",
            f"{figures['overhead']:,.0f}",
        ]
        for size, figures in results["live"].items()
    ]
    heading = ["bytes of key and value", "live / file", "key and value / file"]
    return [[*heading, "overhead per entry"], *rows]


def memory(results: Results) -> Rows:
    """Return memory per byte of payload, by the number of workers."""
    found = results["results"]
    counts = list(next(iter(found.values())))
    rows = [
        [titled(results, peer), *(f"{by[c]['per_payload_byte']:.2f}" for c in counts)]
        for peer, by in found.items()
    ]
    return [["workers", *counts], *rows]


def web(results: Results) -> Rows:
    """Return requests per second."""
    rows = [[peer, whole(figure)] for peer, figure in results["results"].items()]
    return [["cache", "requests/s"], *rows]


# ------------------------------------------------------------- hit ratios


def hitratio(field: str) -> Callable[[Results], Rows]:
    """Return a table of hit ratios in per cent, by trace and cache size."""

    def make(results: Results) -> Rows:
        rows = []
        for cell in results["results"]:
            found = cell["policies"]
            cells = [percent(found.get(policy), field) for policy in POLICIES]
            rows.append([cell["trace"], f"{cell['percent']} %", *cells])
        return [["trace", "cache", *POLICIES], *rows]

    return make


def percent(figures: Results | None, field: str) -> str:
    """Return a ratio in per cent."""
    return f"{100 * figures[field]:.2f}" if figures else "-"


def space(results: Results) -> Rows:
    """Return what the engine did with its bytes in each cell."""
    rows = [
        [
            cell["trace"],
            f"{cell['percent']} %",
            f"{own['live']:.3f}",
            f"{own['moved']:.3f}",
            f"{own['most_moved']:,}",
            f"{own['refused']:,}",
            f"{own['slot_evictions']:,}",
            f"{100 * own['range']:.2f}",
        ]
        for cell in results["results"]
        for own in (cell["policies"][ENGINE],)
    ]
    heading = ["trace", "cache", "live / file", "moved / set", "most moved"]
    return [[*heading, "refused", "for lack of a slot", "range"], *rows]


def points(results: Results, other: str, trace: str = "") -> list[float]:
    """Return the engine's points above another policy, by cell of real traces."""
    return [
        100 * (cell["policies"][ENGINE]["hits"] - cell["policies"][other]["hits"])
        for cell in results["results"]
        if cell["trace"] in results["real"] and trace in ("", cell["trace"])
    ]


#: The number of workers whose details are shown.
_SHOWN = "2"


def tier(results: Results) -> Rows:
    """Return calls a second by client, share of writes and workers."""
    found = results["results"]
    counts = list(next(iter(next(iter(found.values())).values())))
    rows = [
        [client, share, *(whole(by_count[count]["calls"]) for count in counts)]
        for client, shares in found.items()
        for share, by_count in shares.items()
    ]
    return [["calls/s", "writes", *counts], *rows]


def tier_cost(results: Results) -> Rows:
    """Return what two workers cost: commands, times of calls, memory."""
    rows = [
        [
            client,
            share,
            whole(by_count[_SHOWN]["commands"]),
            *(f"{by_count[_SHOWN][name][MEDIAN]:.1f}" for name in ("middle", "tail")),
            f"{by_count[_SHOWN]['memory'][MEDIAN]:.0f}",
        ]
        for client, shares in results["results"].items()
        for share, by_count in shares.items()
    ]
    heading = ["two workers", "writes", "commands/s", "p50, us", "p99.9, us"]
    return [[*heading, "memory, MiB"], *rows]


def tier_changes(results: Results) -> Rows:
    """Return how soon changes are seen, and how many can be."""
    flood, seen = results["flood"], results["seen"]
    return [
        ["changes", ""],
        ["seen on another host, with the write, p50, ms", f"{seen['p50']:.2f}"],
        ["the same, p99, ms", f"{seen['p99']:.2f}"],
        ["dropped a second at most", f"{flood['most']:,}"],
        [f"age of the pulse at {flood['rate']:,} a second, p50, ms", f"{flood['p50']}"],
        ["the same, p99.9, ms", f"{flood['p99.9']}"],
        ["of that time live", f"{flood['live']:.1%}"],
    ]


SOURCES: dict[str, tuple[tuple[str, ...], Callable[..., Rows]]] = {
    "basic": (("basic",), basic),
    "doors": (("doors",), doors),
    "sizes-get": (("sizes",), sizes("get")),
    "sizes-set": (("sizes",), sizes("set")),
    "batch": (("batch",), batch),
    "processes": (("parallel",), parallel("processes")),
    "threads": (("parallel",), parallel("threads")),
    "tail": (("tail",), tail),
    "frames": (("frames",), frames("ms", 1)),
    "frames-stall": (("frames",), frames("stall", 0)),
    "frames-memory": (("frames",), frames("copies", 2)),
    "growth": (("growth",), growth),
    "growth-bytes": (("growth",), growth_bytes),
    "growth-room": (("growth",), growth_room),
    "attach": (("attach",), attach),
    "live": (("memory",), live),
    "memory": (("memory",), memory),
    "fits": (("fits",), fits),
    "web": (("web",), web),
    "tier": (("tier",), tier),
    "tier-cost": (("tier",), tier_cost),
    "tier-changes": (("tier",), tier_changes),
    "hitratio": (("hitratio",), hitratio("hits")),
    "byte-hitratio": (("hitratio",), hitratio("byte_hits")),
    "space": (("hitratio",), space),
    "kept": (("kept",), kept),
}
