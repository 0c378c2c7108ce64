// The page of a live run: asks for what is new twice a second, and draws it; the picture comes by itself.

const START = JSON.parse(document.getElementById("data").textContent);
const EVERY = 500, PATIENCE = 3000, MOST = 2400, MOST_ROWS = 6;
const state = { number: 0, windows: [], events: [], names: {}, active: [], status: { kind: "starting", text: "starting" } };
let range = 60, frozen = false, lastAnswer = Date.now();

const nameOf = (number) => state.names[number] || `class ${number}`;
const wall = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const text = (id, value) => { const node = document.getElementById(id); if (node.textContent !== value) node.textContent = value; };

const status = make("span", { class: "status", id: "status", role: "status", "data-kind": "starting" }, make("i", { "aria-hidden": "true" }), make("span", { id: "status-text" }, "starting"));
const image = make("img", { id: "picture", alt: `the picture of ${START.source}`, width: 640, height: 360 });
const cover = make("div", { class: "cover", id: "cover" }, "waiting for the picture");
const bright = make("input", { type: "range", min: 1, max: 8, step: 0.5, value: 1, id: "brighten" });
bright.addEventListener("input", () => { image.style.filter = bright.value > 1 ? `brightness(${bright.value})` : ""; });
const choose = make("select", { id: "range" }, [[30, "30 s"], [60, "1 min"], [300, "5 min"], [900, "15 min"]].map(([value, label]) =>
  make("option", { value, selected: value === range ? "" : null }, label)));
choose.addEventListener("change", () => { range = Number(choose.value); draw(); });
const hold = make("input", { type: "checkbox", id: "hold" });
hold.addEventListener("change", () => { frozen = hold.checked; draw(); });
const holder = make("div", { id: "timeline", role: "img", "aria-label": "classes over time; the list of actions says the same" });

document.getElementById("page").append(
  make("header", {}, make("h1", {}, START.source), status),
  make("div", { class: "live" },
    make("section", {}, make("h2", {}, "Picture"), make("div", { class: "picture" }, image, cover),
      make("div", { class: "options small" }, make("label", {}, "brighten", bright)),
      make("p", { class: "figures soft small", id: "figures" })),
    make("section", {}, make("h2", {}, "Now"), make("p", { class: "now-line", id: "now", "aria-live": "polite" }, "–"), make("ul", { class: "bars", id: "bars" }),
      make("h2", {}, "Last actions"), make("ul", { class: "actions", id: "actions", tabindex: 0, "aria-label": "last actions" }))),
  make("section", {}, make("h2", {}, "Over time"),
    make("div", { class: "options small" }, make("label", {}, "the last", choose), make("label", {}, hold, "hold still")), holder));
const line = timeline(holder, null);

// ------------------------------------------------------------------------------------------------------------------ draw
function draw() {
  status.dataset.kind = state.status.kind;
  text("status-text", state.status.text);
  const newest = state.windows[state.windows.length - 1];
  const on = state.active.map((a) => a.number);
  const live = state.status.kind === "live";
  document.getElementById("bars").classList.toggle("stale", !live);
  text("now", !live ? "–" : on.length ? on.map(nameOf).join(", ") : newest ? "nothing for sure" : "–");
  if (newest) bars(newest, on);
  actions();
  if (state.fps !== undefined) text("figures", [state.size, state.fps ? `${state.fps} frames/s` : null, state.latency_ms === undefined ? null : `${state.latency_ms} ms to the answer`,
    state.dropped === undefined ? null : `${state.dropped} frames dropped`].filter(Boolean).join("  ·  "));
  if (newest && !frozen) over(newest);
}

let shownBars = "";
function bars(newest, on) {
  const key = JSON.stringify([newest.p, on]);
  if (key === shownBars) return;
  shownBars = key;
  const rows = [...newest.p].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([number, p]) => make("li", { class: on.includes(number) ? "now" : null },
    make("span", { class: "name", title: nameOf(number) }, nameOf(number)), make("span", { class: "number" }, percent(p)),
    make("span", { class: "track", "aria-hidden": "true" }, make("span", { style: `width: ${(100 * p).toFixed(1)}%` }))));
  document.getElementById("bars").replaceChildren(...rows);
}

// Every action once: those that go on first.
function spans() {
  const found = [];
  for (const e of state.events) {
    if (e.kind === "enter") found.push({ number: e.number, from: e.t, to: null, clock: e.clock });
    else {
      const open = found.filter((s) => s.number === e.number && s.to === null).pop();
      if (open) open.to = e.t;
      else found.push({ number: e.number, from: e.since, to: e.t, clock: e.clock });
    }
  }
  return found;
}

let shownActions = "";
function actions() {
  const all = spans().reverse().slice(0, 60), key = JSON.stringify(all);
  if (key === shownActions) return;
  shownActions = key;
  const items = all.map((s) => make("li", {}, make("span", { class: "when" }, new Date(s.clock).toLocaleTimeString()),
    make("span", { class: "what" }, make("b", {}, nameOf(s.number)), s.to === null ? " goes on" : ` for ${(s.to - s.from).toFixed(1)} s`)));
  document.getElementById("actions").replaceChildren(...(items.length ? items : [make("li", { class: "soft" }, "none so far")]));
}

function over(newest) {
  const to = newest.t, from = to - range, recent = state.windows.filter((w) => w.t >= from), peak = new Map();
  for (const w of recent) for (const [number, p] of w.p) peak.set(number, Math.max(peak.get(number) || 0, p));
  const numbers = [...peak].sort((a, b) => b[1] - a[1]).slice(0, MOST_ROWS).map((pair) => pair[0]).sort((a, b) => a - b);
  const pieces = (value) => recent.map((w, i) => {
    const before = i ? recent[i - 1].t : w.t - 0.25;
    return [Math.max(before, w.t - 2), w.t, value(w)];
  });
  const begin = newest.clock - newest.t;
  line.draw({ from, to, label: (t) => (t < 0 ? "" : wall(begin + t)), luma: pieces((w) => w.luma),
    rows: numbers.map((number) => ({ name: nameOf(number), points: pieces((w) => (w.p.find((pair) => pair[0] === number) || [0, 0])[1]),
      on: spans().filter((s) => s.number === number && (s.to === null || s.to > from)).map((s) => [Math.max(s.from, from), s.to === null ? to : s.to]) })) });
}

// --------------------------------------------------------------------------------------------------------------- network
async function ask() {
  try {
    const answer = await fetch(`state.json?since=${state.number}`, { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(String(answer.status));
    const news = await answer.json();
    if (news.number < state.number) { // another run at the same address
      state.number = 0;
      state.windows = [];
      state.events = [];
    } else {
      state.windows = state.windows.concat(news.windows).slice(-MOST);
      state.events = state.events.concat(news.events).slice(-400);
      Object.assign(state.names, news.names);
      Object.assign(state, { ...news, windows: state.windows, events: state.events, names: state.names });
    }
    lastAnswer = Date.now();
  } catch (error) {
    if (Date.now() - lastAnswer > PATIENCE) state.status = { kind: "away", text: "the program does not answer" };
  }
  draw();
  covered();
  setTimeout(ask, state.status.kind === "away" || state.status.kind === "ended" ? 4 * EVERY : EVERY);
}

function covered() {
  const kind = state.status.kind;
  cover.hidden = kind === "live" && seen && image.naturalWidth > 0;
  if (!cover.hidden) cover.textContent = kind === "live" ? "waiting for the picture" : state.status.text;
}

let seen = true;
function look() {
  seen = true;
  image.src = `picture.mjpeg?${Date.now()}`;
}
image.addEventListener("load", covered);
image.addEventListener("error", () => { seen = false; setTimeout(look, 2000); });
window.addEventListener("load", () => setTimeout(() => { look(); ask(); document.body.dataset.ready = "yes"; }, 0));
