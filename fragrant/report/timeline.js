"use strict";
// Draws classes over time, one row each, and the brightness beneath; shared by the page of a file and that of a live stream.

function make(name, attributes, ...children) {
  const svg = /^(svg|g|rect|text|line|path|title)$/.test(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "click") node.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const percent = (p) => `${(100 * p).toFixed(0)} %`;
const clockOf = (t) => `${Math.floor(t / 60)}:${(t % 60).toFixed(1).padStart(4, "0")}`;

// Round seconds from low to high, about `count` of them.
function timeTicks(low, high, count) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  const step = steps.find((s) => (high - low) / s <= count) || 7200, values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) values.push(i * step);
  return values;
}

/* A timeline in `holder`.
   shape: { from, to, rows: [{ name, points: [[start, end, value]], on: [[start, end]] }], luma: [[start, end, value]] }
   jump(t): called for a click or a key, null = nothing to jump to. Returns { draw(shape), cursor(t) }. */
function timeline(holder, jump) {
  const ROW = 46, TOP = 4, BELOW = 26, EDGE = 2;
  let shape = null, at = null, x = null, svg = null, cursor = null, hover = null;
  const tip = document.getElementById("tip");
  holder.classList.add("timeline");
  holder.tabIndex = 0;
  if (jump) holder.classList.add("clickable");

  function area(points, y, height, most, kind, width) {
    const pieces = points.map(([a, b, value]) => {
      const h = height * Math.min(Math.max(value / most, 0), 1);
      return h < 0.3 ? "" : `M${x(a).toFixed(1)} ${y + height}V${(y + height - h).toFixed(1)}H${Math.max(x(b), x(a) + 1).toFixed(1)}V${y + height}Z`;
    });
    return make("path", { class: kind, d: pieces.join("") || "M0 0" });
  }

  function row(name, right, points, y, width, most, kind, on) {
    const box = y + 17, height = ROW - 24;
    return [make("text", { x: EDGE + 5, y: y + 12 }, name), make("text", { x: width - EDGE - 5, y: y + 12, "text-anchor": "end", class: "soft" }, right),
      make("rect", { class: "row", x: EDGE, y: box, width: width - 2 * EDGE, height }), area(points, box, height, most, kind, width),
      ...(on || []).map(([a, b]) => make("rect", { class: "on", x: x(a), y: box + height, width: Math.max(x(b) - x(a), 2), height: 3 }))];
  }

  function draw(given) {
    shape = given || shape;
    if (!shape) return;
    const width = Math.max(holder.clientWidth, 240), count = shape.rows.length + (shape.luma.length ? 1 : 0);
    const height = TOP + ROW * count + BELOW, span = Math.max(shape.to - shape.from, 1e-6);
    x = (t) => EDGE + ((width - 2 * EDGE) * Math.min(Math.max(t - shape.from, 0), span)) / span;
    svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
    shape.rows.forEach((r, i) => svg.append(...row(r.name, r.note || "", r.points, TOP + i * ROW, width, 1, "area", r.on)));
    if (shape.luma.length) {
      const most = Math.max(...shape.luma.map((p) => p[2]), 0.01);
      svg.append(...row("brightness", `up to ${most.toFixed(3)} (0 black, 1 white)`, shape.luma, TOP + shape.rows.length * ROW, width, most, "luma"));
    }
    const bottom = TOP + ROW * count;
    for (const t of timeTicks(shape.from, shape.to, Math.max(2, Math.floor(width / 90)))) {
      const place = x(t), anchor = place < 24 ? "start" : place > width - 24 ? "end" : "middle";
      svg.append(make("line", { x1: place, x2: place, y1: bottom - 2, y2: bottom + 4, stroke: "var(--soft)" }),
        make("text", { x: place, y: bottom + 18, "text-anchor": anchor, class: "soft" }, shape.label ? shape.label(t) : clockOf(t)));
    }
    hover = make("line", { class: "hover", y1: TOP, y2: bottom, visibility: "hidden" });
    cursor = make("line", { class: "cursor", y1: TOP, y2: bottom, visibility: "hidden" });
    svg.append(hover, cursor);
    holder.replaceChildren(svg);
    if (at !== null) showCursor(at);
  }

  function showCursor(t) {
    at = t;
    if (!cursor) return;
    cursor.setAttribute("visibility", "visible");
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, x(t));
  }

  function timeAt(event) {
    const box = holder.getBoundingClientRect(), share = (event.clientX - box.left) / (box.width || 1);
    return shape.from + (shape.to - shape.from) * Math.min(Math.max(share, 0), 1);
  }
  const valueAt = (points, t) => {
    const found = points.filter(([a, b]) => a <= t && t <= b).pop();
    return found ? found[2] : null;
  };

  holder.addEventListener("mousemove", (event) => {
    if (!shape || !svg) return;
    const t = timeAt(event), rows = shape.rows.map((r) => [r.name, valueAt(r.points, t)]).filter((pair) => pair[1] >= 0.005)
      .sort((a, b) => b[1] - a[1]).slice(0, 5);
    for (const name of ["x1", "x2"]) hover.setAttribute(name, x(t));
    hover.setAttribute("visibility", "visible");
    const light = valueAt(shape.luma, t);
    tip.textContent = [shape.label ? shape.label(t) : clockOf(t), ...rows.map(([name, p]) => `${name} ${percent(p)}`),
      ...(light === null ? [] : [`brightness ${light.toFixed(3)}`])].join("\n");
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 10)}px`;
    tip.style.top = `${Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 10)}px`;
  });
  holder.addEventListener("mouseleave", () => {
    tip.hidden = true;
    if (hover) hover.setAttribute("visibility", "hidden");
  });
  if (jump) {
    holder.addEventListener("click", (event) => shape && jump(timeAt(event)));
    holder.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
      const to = event.key === "Home" ? shape.from : event.key === "End" ? shape.to : step ? (at || shape.from) + step : null;
      if (to === null) return;
      event.preventDefault();
      jump(Math.min(Math.max(to, shape.from), shape.to));
    });
  }
  new ResizeObserver(() => draw()).observe(holder);
  return { draw, cursor: showCursor };
}
