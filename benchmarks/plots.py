"""Draw the plots of docs/performance.rst from what the benchmarks recorded.

Writes ``docs/plots/*.svg``; the same results give the same bytes. A plot whose
question has not been answered yet says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from runner import PUBLISHED, ROOT, Figures

PLOTS = ROOT / "docs" / "plots"
ENGINE = "fastmmap"
TALL = ("hitratio", "kept")
GREY, OURS = "#9aa5b1", "#c0392b"
SIZES = ("16", "64", "256", "1024", "4096", "16384", "65536", "262144")


def style(name: str) -> dict[str, Any]:
    """Return how a peer's line looks: ours stands out."""
    return {"color": OURS, "linewidth": 2.5, "zorder": 3} if name == ENGINE else {}


def bars(axes: Axes, values: dict[str, float]) -> None:
    """Draw a bar per name, the shortest at the top."""
    names = sorted(values, key=lambda name: -values[name])
    colors = [OURS if name == ENGINE else GREY for name in names]
    axes.barh(names, [values[name] for name in names], color=colors)
    for at, name in enumerate(names):
        axes.text(values[name], at, f" {values[name]:,.0f}", va="center", fontsize=8)
    axes.margins(x=0.15)


def basic(axes: Axes, results: Figures) -> None:
    """Show what a get hit costs, for each peer."""
    found = results["results"]
    bars(axes, {n: f["get hit"]["median"] for n, f in found.items() if "get hit" in f})
    axes.set(xscale="log", xlabel="ns per get of 64 bytes")


def sizes(axes: Axes, results: Figures) -> None:
    """Show what a get costs by the size of the value."""
    for name, found in results["results"].items():
        have = [size for size in SIZES if f"get {size}" in found]
        values = [found[f"get {size}"]["median"] for size in have]
        axes.plot([int(s) for s in have], values, marker=".", label=name, **style(name))
    axes.set(
        xscale="log", yscale="log", xlabel="bytes of the value", ylabel="ns per get"
    )
    axes.legend(fontsize=7)


def parallel(axes: Axes, results: Figures) -> None:
    """Show calls per second by the number of processes."""
    for name, mixes in results["results"]["processes"].items():
        rates = mixes["90 % gets"]
        values = [rate["median"] for rate in rates.values()]
        axes.plot(list(rates), values, marker=".", label=name, **style(name))
    axes.set(yscale="log", xlabel="processes", ylabel="calls per second, 90 % gets")
    axes.legend(fontsize=7)


def tail(axes: Axes, results: Figures) -> None:
    """Show the percentiles of a set while evicting."""
    for name, calls in results["results"].items():
        found = calls["set"]
        values = [figure["median"] / 1000 for figure in found.values()]
        axes.plot(list(found), values, marker=".", label=name, **style(name))
    axes.axhline(25, color=GREY, linestyle=":")
    axes.set(yscale="log", xlabel="percentile of set", ylabel="microseconds")
    axes.legend(fontsize=7)


def frames(axes: Axes, results: Figures) -> None:
    """Show what it takes to read and to store arrays and frames by their size."""
    looks = {"get": "-", "set": "--"}
    found = results["results"]["frame"]
    names = list(next(iter(found.values()))["ms"])
    for name in names:
        for call, line in looks.items():
            values = [figures["ms"][name][call]["median"] for figures in found.values()]
            sizes = [int(mib) for mib in found]
            label = f"{name}, {call}"
            colors = {"fastmmap": OURS, "diskcache": "#2c7fb8"}
            axes.plot(
                sizes,
                values,
                line,
                color=colors.get(name, GREY),
                marker=".",
                label=label,
            )
    axes.set(xscale="log", yscale="log", xlabel="MiB of the frame", ylabel="ms")
    axes.legend(fontsize=8)


def growth(axes: Axes, results: Figures) -> None:
    """Show what a get costs by the number of entries."""
    for name in (ENGINE, "dict"):
        found = results["results"][name]
        values = [calls["get"]["median"] for calls in found.values()]
        axes.plot(
            [int(n) for n in found], values, marker=".", label=name, **style(name)
        )
    axes.set(xscale="log", xlabel="entries", ylabel="ns per get")
    axes.legend(fontsize=8)


def memory(axes: Axes, results: Figures) -> None:
    """Show the memory of several workers per byte of payload."""
    for name, found in results["results"].items():
        values = [figures["per_payload_byte"] for figures in found.values()]
        axes.plot(list(found), values, marker=".", label=name, **style(name))
    axes.set(xlabel="workers", ylabel="bytes of memory per byte of payload")
    axes.legend(fontsize=7)


def web(axes: Axes, results: Figures) -> None:
    """Show requests per second behind each cache."""
    bars(axes, {name: f["median"] for name, f in results["results"].items()})
    axes.set(xlabel="requests per second, two workers")


def hitratio(axes: Axes, results: Figures) -> None:
    """Show points of hit ratio above exact LRU in each cell."""
    cells = results["results"]
    labels = [f"{cell['trace']} {cell['percent']} %" for cell in cells]
    marks = {ENGINE: "o", "Cache::FastMmap": "x", "s3fifo": "^", "sieve": "v"}
    for name, mark in marks.items():
        found = [
            (n, c["policies"]) for n, c in enumerate(cells) if name in c["policies"]
        ]
        values = [100 * (p[name]["hits"] - p["lru"]["hits"]) for _, p in found]
        looks: dict[str, Any] = {"color": OURS, "zorder": 3} if name == ENGINE else {}
        axes.plot(values, [n for n, _ in found], mark, label=name, **looks)
    axes.axvline(0, color=GREY)
    axes.set_yticks(range(len(labels)), labels, fontsize=6)
    axes.invert_yaxis()
    axes.set(xlabel="points of hit ratio above exact LRU")
    axes.legend(fontsize=7)


def kept(axes: Axes, results: Figures) -> None:
    """Show points of hit ratio above exact LRU of each workload."""
    points = [
        (f"{family}: {name}", 100 * (found["hits"] - found["lru"]))
        for family, workloads in results["results"].items()
        for name, found in workloads.items()
    ]
    axes.barh([name for name, _ in points], [n for _, n in points], color=OURS)
    axes.axvline(0, color=GREY)
    axes.tick_params(axis="y", labelsize=6)
    axes.invert_yaxis()
    axes.set(xlabel="points of hit ratio above exact LRU")


PLOTTED: dict[str, Callable[[Axes, Figures], None]] = {
    "basic": basic,
    "sizes": sizes,
    "parallel": parallel,
    "tail": tail,
    "frames": frames,
    "growth": growth,
    "memory": memory,
    "web": web,
    "hitratio": hitratio,
    "kept": kept,
}


def draw(question: str, results: Figures) -> Figure:
    """Return the plot of a question."""
    figure = Figure(figsize=(7, 8 if question in TALL else 4.2))
    axes = figure.subplots()
    if results:
        PLOTTED[question](axes, results)
        axes.grid(color="#e5e8eb", zorder=0)
        axes.set_axisbelow(True)
    else:
        axes.text(0.5, 0.5, "not measured yet", ha="center")
        axes.set_axis_off()
    figure.tight_layout()
    return figure


def main() -> None:
    """Draw all plots."""
    matplotlib.rcParams["svg.hashsalt"] = "fastmmap"
    PLOTS.mkdir(exist_ok=True)
    for question in PLOTTED:
        path = PUBLISHED / f"{question}.json"
        results = json.loads(path.read_text("utf-8")) if path.exists() else {}
        figure = draw(question, results)
        figure.savefig(PLOTS / f"{question}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
