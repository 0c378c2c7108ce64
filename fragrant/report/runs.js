// Draws the table of runs: sorted, filtered, with the curves of the runs that are ticked.

const COLOURS = ["#2f6fab", "#c2502e", "#3b8f6b", "#8a5fb0", "#b8860b", "#4d9fc4", "#a8456b", "#6b7785"];
const FEW_KEYS = 6; // differing keys that are columns at first
const shownKeys = new Set(data.keys.slice(0, FEW_KEYS).map((_, k) => k));
const ticked = new Map(); // number of a run -> its colour
const order = { by: "name", down: false };
let words = "", states = new Set(data.states);

// ---------------------------------------------------------------------------------------------------------------- columns
const figureCell = (a, epoch) => (a === null ? "" : make("div", { class: "figure", title: a.protocol || null }, a.text,
  a.low === null ? null : make("small", {}, `${a.low.toFixed(1)} – ${a.high.toFixed(1)} %`),
  epoch && a.epoch ? make("small", {}, `epoch ${a.epoch}`) : null,
  a.words ? make("small", { class: "words" }, a.words) : null));
const stateCell = (run) => make("div", {}, make("span", { class: `state ${run.state}` }, run.state),
  run.note ? make("span", { class: "note", title: run.note }, run.note) : null);
const breakable = (path) => path.split("/").flatMap((part, at) => (at ? ["/", make("wbr", {}), part] : [part]));
function nameCell(run) {
  let href = null;
  try {
    href = run.report && encodeURI(run.report).replace(/[?#]/g, encodeURIComponent);
  } catch (error) { /* a name that is no Unicode has no address */ }
  return make("div", {}, href ? make("a", { href }, breakable(run.name)) : breakable(run.name));
}

function columns() {
  const rank = (name) => (run) => (run[name] === null ? null : run[name].rank);
  const fixed = [
    { id: "name", title: "run", cell: nameCell, key: (run) => run.name, css: "run" },
    { id: "state", title: "state", cell: stateCell, key: (run) => data.states.indexOf(run.state) },
    { id: "epochs", title: "epochs", cell: (run) => (run.epochs ? run.epochs.join(" of ") : ""), key: (run) => run.epochs && run.epochs[0] },
    { id: "best", title: "best validation", cell: (run) => figureCell(run.best, true), key: rank("best"), down: true },
    { id: "last", title: "last", cell: (run) => figureCell(run.last, false), key: rank("last"), down: true },
    { id: "test", title: "test, 95 %", cell: (run) => figureCell(run.test, false), key: rank("test"), down: true },
    { id: "time", title: "time", cell: (run) => run.time, key: (run) => run.seconds || null, down: true },
    { id: "hardware", title: "hardware", cell: (run) => run.hardware, key: (run) => run.hardware || null },
  ].filter((column) => column.id === "name" || column.id === "state" || data.runs.some((run) => column.key(run) !== null));
  const keys = [...shownKeys].sort((a, b) => a - b).map((k) => ({
    id: data.keys[k], title: data.names[k], css: "value", tip: `${data.keys[k]}\n${data.meanings[k]}`,
    cell: (run) => (run.values[k] === null ? "" : make("span", { title: run.values[k] }, run.values[k])), key: (run) => run.values[k],
  }));
  return [...fixed, ...keys];
}

// Numbers by size, texts with numbers in them as people count; what is not there comes last.
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function inOrder(column) {
  const there = (run) => { const key = column.key(run); return key !== null && key !== undefined; };
  const numbers = data.runs.map((_, i) => i).filter(isShown);
  return numbers.sort((i, j) => {
    const [a, b] = [data.runs[i], data.runs[j]];
    if (!there(a) || !there(b)) return Number(there(b)) - Number(there(a)) || i - j;
    return (order.down ? -1 : 1) * compare(column.key(a), column.key(b)) || i - j;
  });
}

// Every word must be in the name, state, machine, a note, or a KEY VALUE; KEY=VALUE means this value.
function isShown(i) {
  const run = data.runs[i];
  if (!states.has(run.state)) return false;
  const pairs = data.keys.map((key, k) => `${key}=${run.values[k]}`);
  const all = [run.name, run.state, run.hardware, run.note, run.test ? run.test.protocol : "", ...pairs].join("\n").toLowerCase();
  return words.toLowerCase().split(/\s+/).filter(Boolean).every((word) => (word.includes("=") ? `${all}\n`.includes(`${word}\n`) : all.includes(word)));
}

// ------------------------------------------------------------------------------------------------------------------ table
const holder = make("div", { class: "table" }), counted = make("p", { class: "soft small", id: "counted" });

function draw() {
  const shown = columns(), column = shown.find((one) => one.id === order.by) || shown[0], rows = inOrder(column);
  const sortBy = (one) => { order.down = order.by === one.id ? !order.down : Boolean(one.down); order.by = one.id; draw(); };
  const head = shown.map((one) => make("th", { "data-tip": one.tip, "aria-sort": one === column ? (order.down ? "descending" : "ascending") : null },
    make("button", { click: () => sortBy(one), "data-column": one.id }, one.title + (one === column ? (order.down ? " ↓" : " ↑") : ""))));
  holder.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, make("th", {}), head)), make("tbody", {}, rows.map((i) => row(i, shown)))));
  counted.textContent = rows.length === data.runs.length ? "" : `${rows.length} of ${plural(data.runs.length, "run")} shown`;
  overlay();
}

function row(i, shown) {
  const run = data.runs[i], box = make("input", { type: "checkbox", "aria-label": `curves of ${run.name}` });
  box.checked = ticked.has(i);
  box.addEventListener("change", () => { tick(i, box.checked); draw(); });
  const swatch = ticked.has(i) ? make("i", { class: "swatch", style: `background: ${ticked.get(i)}` }) : null;
  return make("tr", { "data-run": run.name, class: ticked.has(i) ? "ticked" : null },
    make("td", { class: "tick" }, Object.keys(run.curves).length ? [box, swatch] : null), shown.map((one) => {
      const cell = one.cell(run);
      return make("td", { class: `${one.css || ""}${cell === "" ? " empty" : ""}`, "data-name": one.id === "name" ? null : one.title }, cell);
    }));
}

function tick(i, on) {
  if (!on) return ticked.delete(i);
  const used = [...ticked.values()], free = COLOURS.find((one) => !used.includes(one));
  return ticked.set(i, free || COLOURS[ticked.size % COLOURS.length]);
}

// ----------------------------------------------------------------------------------------------------------------- curves
const charts = make("div", { class: "charts" }), legend = make("div", { class: "runs-legend small" });
const PLANS = [["validation top-1, %", "validation top-1"], ["validation mAP, %", "validation mAP"], ["validation loss", "validation loss"],
  ["training loss", "loss"], ["learning rate", "learning rate"]];

function overlay() {
  const runs = [...ticked].filter(([i]) => isShown(i)).map(([i, colour]) => ({ ...data.runs[i], colour }));
  const drawn = PLANS.map(([title, name]) => ({ title, range: null, series: runs.filter((run) => run.curves[name])
    .map((run) => ({ name: run.name, colour: run.colour, ...run.curves[name] })) })).filter((plan) => plan.series.length);
  for (const plan of drawn) {
    if (plan.title.endsWith("%")) plan.range = span(plan.series);
    plan.series.sort((a, b) => b.x[b.x.length - 1] - a.x[a.x.length - 1]); // the first is the one that the pointer follows
  }
  fillWithCharts(charts, drawn);
  legend.replaceChildren(...runs.map((run) => make("span", {}, make("i", { style: `background: ${run.colour}` }), run.name)));
  if (!runs.length) charts.replaceChildren(note(data.runs.some((run) => Object.keys(run.curves).length)
    ? "Tick runs in the table to lay their curves over each other." : "No run has logged a training."));
}

// The percentages that there are, with a little room: curves that end at 90 differ by a few.
function span(series) {
  const ys = series.flatMap((one) => one.y), [low, high] = [Math.min(...ys), Math.max(...ys)], room = Math.max(2, 0.08 * (high - low));
  return [Math.max(0, low - room), Math.min(100, high + room)];
}
redraws.push(overlay);

// ------------------------------------------------------------------------------------------------------------------- page
function tools() {
  const search = make("input", { type: "search", id: "filter", placeholder: "filter: name, state, BASE_LR=0.001", "aria-label": "filter" });
  search.addEventListener("input", () => { words = search.value; draw(); });
  const boxes = data.states.filter((state) => data.runs.some((run) => run.state === state)).map((state) => {
    const box = make("input", { type: "checkbox", checked: "", "data-state": state });
    box.addEventListener("change", () => { box.checked ? states.add(state) : states.delete(state); draw(); });
    return make("label", {}, box, ` ${state} (${data.runs.filter((run) => run.state === state).length})`);
  });
  return make("div", { class: "bar-of-tools small" }, search, boxes.length > 1 ? boxes : null,
    make("button", { id: "untick", click: () => { ticked.clear(); draw(); } }, "untick all"),
    make("a", { href: "#overlay" }, "curves ↓"));
}

function keys() {
  if (!data.keys.length) return note(data.runs.length > 1 ? "The configs of all runs are the same." : "");
  const boxes = data.keys.map((key, k) => {
    const box = make("input", { type: "checkbox", "data-key": key });
    box.checked = shownKeys.has(k);
    box.addEventListener("change", () => { box.checked ? shownKeys.add(k) : shownKeys.delete(k); draw(); });
    return make("label", { title: data.meanings[k] }, box, ` ${key}`);
  });
  return make("details", { class: "small" }, make("summary", {}, `${plural(data.keys.length, "key")} of the configs differ${data.keys.length === 1 ? "s" : ""}: columns`),
    make("div", { class: "keys" }, boxes));
}

const withCurves = data.runs.map((run, i) => [i, run.best]).filter(([, best]) => best !== null && best.rank !== null);
withCurves.sort((a, b) => b[1].rank - a[1].rank || a[0] - b[0]);
for (const [i] of withCurves.slice(0, 3)) tick(i, true); // the best, so that there is something to see
document.getElementById("page").append(make("h1", {}, data.title), make("p", { class: "soft" }, data.subtitle),
  section("runs", "Runs", tools(), keys(), counted, holder),
  section("overlay", "Curves", legend, charts));
draw();
document.body.dataset.ready = "yes";
