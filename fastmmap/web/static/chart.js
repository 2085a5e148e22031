/* Lines over time. A row is what `history.COLUMNS` says. */

const SPANS = [60, 120, 300, 600]; /* seconds that a chart may show */
const AT = { moment: 0, gets: 1, hits: 2, sets: 3, evictions: 4, waits: 5, live: 6, entries: 7 };

function pathOf(points) {
  return points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/* A small line without axes; `values` from old to new. */
function sparkline(svg, values, name, most) {
  const top = most || Math.max(...values, 1e-9);
  const step = 100 / Math.max(values.length - 1, 1);
  const points = values.map((value, n) => [n * step, 28 - (26 * Math.min(value, top)) / top]);
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(draw("path", { class: `l l-${name}`, d: pathOf(points) }));
}

/* Where charts end above: a round number. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].find((n) => n * power >= value) * power;
}

class Chart {
  constructor(svg, label, lines, most) {
    Object.assign(this, { svg, label, lines, most, rows: [] });
    svg.addEventListener("pointermove", (event) => this.point(event));
    svg.addEventListener("pointerleave", () => { this.cursor = null; this.draw(); });
  }

  update(rows) {
    this.rows = rows;
    this.draw();
  }

  x(moment) {
    return this.left + ((moment - this.end + this.span) / this.span) * (this.width - this.left);
  }

  draw() {
    this.width = this.svg.clientWidth || 400;
    this.height = this.svg.clientHeight || 130;
    this.left = 44;
    this.end = this.rows.length ? this.rows.at(-1)[AT.moment] : 0;
    const age = this.rows.length ? this.end - this.rows[0][AT.moment] : 0;
    this.span = SPANS.find((seconds) => age <= seconds) || SPANS.at(-1);
    const rows = this.rows.filter((row) => row[AT.moment] >= this.end - this.span);
    const values = this.lines.flatMap(({ of }) => rows.map(of)).filter((n) => n !== null);
    const top = this.most || roundUp(Math.max(...values, 1));
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren(...this.frame(top), ...this.lines.flatMap((line) => [...this.line(line, rows, top)]));
    if (this.cursor) this.svg.append(draw("line", { class: "cursor", x1: this.cursor, x2: this.cursor, y1: 0, y2: this.height - 16 }));
    this.svg.setAttribute("aria-label", this.label(rows));
  }

  * frame(top) {
    for (const share of [0, 0.5, 1]) {
      const y = this.y(share * top, top);
      yield draw("line", { class: "grid", x1: this.left, x2: this.width, y1: y, y2: y });
      const text = this.most ? `${share * 100} %` : rate(share * top);
      yield draw("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, text);
    }
    for (const [ago, text, anchor] of [[this.span, `${span(this.span)} ago`, "start"], [this.span / 2, span(this.span / 2), "middle"], [0, "now", "end"]]) {
      yield draw("text", { x: this.x(this.end - ago), y: this.height - 1, "text-anchor": anchor }, text);
    }
  }

  y(value, top) {
    return 6 + (this.height - 24) * (1 - value / top);
  }

  /* A line is broken where nothing is known. */
  * line({ name, of, area }, rows, top) {
    let points = [];
    for (const row of [...rows, null]) {
      const value = row && of(row);
      if (value !== null) {
        points.push([this.x(row[AT.moment]), this.y(value, top)]);
        continue;
      }
      if (points.length > 1) {
        const base = this.y(0, top);
        if (area) yield draw("path", { class: `a-${name}`, d: `${pathOf([[points[0][0], base], ...points, [points.at(-1)[0], base]])}Z` });
        yield draw("path", { class: `l l-${name}`, d: pathOf(points) });
      }
      points = [];
    }
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    this.cursor = Math.max(event.clientX - box.left, this.left);
    const moment = this.end - this.span * (1 - (this.cursor - this.left) / (this.width - this.left));
    const row = this.rows.reduce((best, one) => (!best || Math.abs(one[0] - moment) < Math.abs(best[0] - moment) ? one : best), null);
    if (row) say($("instant"), instantText(row));
    this.draw();
  }
}

function ratioOf(row) {
  return row[AT.gets] > 0 ? (100 * row[AT.hits]) / row[AT.gets] : null;
}

function instantText(row) {
  const time = new Date(row[AT.moment] * 1000).toLocaleTimeString();
  const ratio = ratioOf(row);
  return `${time}: ${rate(row[AT.gets])} gets/s, ${ratio === null ? "no" : `${ratio.toFixed(1)} %`} hits, ${rate(row[AT.sets])} sets/s, ${rate(row[AT.evictions])} evictions/s`;
}
