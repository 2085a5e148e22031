/* The file as a picture: a vessel for each page, or for some that lie side by side. */

const CELL = { fresh: 0, main: 1, dead: 2, entries: 3, stores: 4, evictions: 5, holders: 6 };

class FileMap {
  constructor(canvas, note) {
    Object.assign(this, { canvas, note, cells: [], before: [], clients: [], selected: 0, chosen: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerdown", (event) => this.point(event));
  }

  update(map, clients) {
    this.before = this.cells.length === map.cells.length ? this.cells : map.cells;
    Object.assign(this, { cells: map.cells, pages: map.pages, perCell: map.per_cell, clients });
    this.selected = Math.min(this.selected, this.cells.length - 1);
    this.draw();
    this.tell();
  }

  forget() {
    Object.assign(this, { cells: [], before: [], selected: 0, chosen: false });
  }

  /* Columns and the size of a cell, so that all fit into a quiet rectangle. */
  layout() {
    const width = this.canvas.clientWidth || 400;
    const n = Math.max(this.cells.length, 1);
    const side = Math.max(11, Math.min(96, Math.sqrt((width * 230) / n)));
    const columns = Math.min(n, Math.max(1, Math.floor(width / side)));
    const step = width / columns;
    const height = Math.min(step, side * 1.15, 120);
    const rows = Math.ceil(n / columns);
    return { width, columns, step, height, rows, gap: step > 30 ? 4 : step > 16 ? 2 : 1.5 };
  }

  draw() {
    const at = (this.place = this.layout());
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(at.width * scale);
    this.canvas.height = Math.round(at.rows * at.height * scale);
    this.canvas.style.height = `${at.rows * at.height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`);
    const colors = Object.fromEntries(["main", "new", "dead", "free", "held", "hot", "ink"].map((name) => [name, color(name)]));
    this.cells.forEach((cell, n) => this.drawCell(context, colors, cell, n));
  }

  drawCell(context, colors, cell, n) {
    const { columns, step, height, gap } = this.place;
    const x = (n % columns) * step + gap / 2;
    const y = Math.floor(n / columns) * height + gap / 2;
    const w = step - gap;
    const h = height - gap;
    context.save();
    context.beginPath();
    context.roundRect(x, y, w, h, Math.min(5, w / 5));
    context.clip();
    context.fillStyle = colors.free;
    context.fillRect(x, y, w, h);
    let bottom = y + h;
    for (const [part, name] of [[CELL.main, "main"], [CELL.fresh, "new"], [CELL.dead, "dead"]]) {
      const tall = (h * cell[part]) / 1000;
      context.fillStyle = colors[name];
      context.fillRect(x, bottom - tall, w, tall + 0.5);
      bottom -= tall;
    }
    context.restore();
    this.frame(context, colors, cell, n, [x, y, w, h]);
  }

  frame(context, colors, cell, n, box) {
    const hot = this.before[n] && cell[CELL.stores] !== this.before[n][CELL.stores];
    const held = cell[CELL.holders].length > 0;
    const selected = this.chosen && n === this.selected;
    const [x, y, w, h] = box;
    if (hot) {
      const radius = Math.max(1.2, Math.min(2.6, w / 9));
      context.fillStyle = colors.hot;
      context.beginPath();
      context.arc(x + w - 2 * radius, y + 2 * radius, radius, 0, 7);
      context.fill();
    }
    if (!held && !selected) return;
    const thick = Math.min(3, w / 6);
    context.strokeStyle = held ? colors.held : colors.ink;
    context.lineWidth = thick;
    context.beginPath();
    context.roundRect(x + thick / 2, y + thick / 2, w - thick, h - thick, Math.min(5, w / 5));
    context.stroke();
  }

  select(n) {
    if (n < 0 || n >= this.cells.length) return;
    this.selected = n;
    this.chosen = true;
    this.draw();
    this.tell();
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.place.columns, ArrowDown: this.place.columns };
    if (event.key === "Home") this.select(0);
    else if (event.key === "End") this.select(this.cells.length - 1);
    else if (event.key in steps) this.select(this.selected + steps[event.key]);
    else return;
    event.preventDefault();
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.place.step);
    const row = Math.floor((event.clientY - box.top) / this.place.height);
    if (column >= 0 && column < this.place.columns) this.select(row * this.place.columns + column);
  }

  holder(pid) {
    const client = this.clients.find((one) => one.pid === pid);
    return pid === 0 ? "an unknown process" : `${pid}${client ? ` (${client.command})` : ""}`;
  }

  describe(cell, n) {
    const share = (value) => `${(value / 10).toFixed(0)} %`;
    const first = n * this.perCell;
    const last = Math.min(first + this.perCell, this.pages) - 1;
    const name = first === last ? `Page ${first}` : `Pages ${first} to ${last}`;
    const free = Math.max(1000 - cell[CELL.main] - cell[CELL.fresh] - cell[CELL.dead], 0);
    const held = cell[CELL.holders].map((pid) => this.holder(pid)).join(", ");
    return `${name}: ${share(cell[CELL.main] + cell[CELL.fresh])} in use (${share(cell[CELL.fresh])} on probation), ${share(cell[CELL.dead])} dead, ${share(free)} free. ${count(cell[CELL.entries])} values, ${count(cell[CELL.evictions])} evicted so far.${held ? ` Held by ${held}.` : ""}`;
  }

  overall() {
    const sum = (part) => this.cells.reduce((all, cell) => all + cell[part], 0) / (this.cells.length || 1) / 10;
    const held = this.cells.flatMap((cell) => cell[CELL.holders]);
    const text = `${count(this.pages)} pages: ${(sum(CELL.main) + sum(CELL.fresh)).toFixed(0)} % in use, ${sum(CELL.dead).toFixed(0)} % dead.`;
    return held.length ? `${text} ${held.length} held, by ${[...new Set(held)].map((pid) => this.holder(pid)).join(", ")}.` : `${text} No page is held.`;
  }

  tell() {
    if (!this.cells.length) return;
    const text = this.chosen ? this.describe(this.cells[this.selected], this.selected) : this.overall();
    say(this.note, text);
    this.canvas.setAttribute("aria-valuemax", this.cells.length - 1);
    this.canvas.setAttribute("aria-valuenow", this.selected);
    this.canvas.setAttribute("aria-valuetext", text);
  }
}
