"use strict";
// Draws the report from the JSON beside it. Percentages and intervals arrive as numbers; only the matrix is counted here.

const data = JSON.parse(document.getElementById("data").textContent);
// Colours stay names: the style sheet says what they are, in the light and in the dark.
const [INK, SOFT, LINE, RIGHT, PALE, TRACK, FILL, WRONG_FILL] = ["ink", "soft", "line", "right", "pale", "track", "right-fill", "wrong-fill"]
  .map((name) => `var(--${name})`);
const MANY = 40; // classes that still have room for their names at the matrix

// ------------------------------------------------------------------------------------------------------------ small parts
function make(name, attributes, ...children) {
  const svg = /^(svg|g|rect|text|line|path|circle|title)$/.test(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "click") node.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const nameOf = (k) => (k < 0 ? "nothing: its score is not a number" : data.classes[k]);
const percent = (x) => (x === null ? "–" : `${x.toFixed(1)} %`);
const interval = (a) => `95 % interval ${a.low.toFixed(1)} – ${a.high.toFixed(1)} %`;
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const section = (id, title, ...children) => make("section", { id }, make("h2", {}, title), ...children);
const note = (...text) => make("p", { class: "soft small" }, ...text);

// From nearly the paper to the colour; never quite the paper, so that one video of hundreds still shows.
const shade = (colour, share, least) => `color-mix(in srgb, ${colour} ${(100 * (least + (1 - least) * share)).toFixed(2)}%, var(--paper))`;

// What depends on the width of the window is drawn again when it changes.
const redraws = [];
let drawnFor = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawnFor) return;
  drawnFor = window.innerWidth;
  redraws.forEach((draw) => draw());
});
const room = () => Math.max(240, document.documentElement.clientWidth - (window.innerWidth <= 640 ? 54 : 100)); // of a section, about

const tip = document.getElementById("tip");
document.addEventListener("mousemove", (event) => {
  const holder = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = !holder;
  if (!holder) return;
  tip.textContent = holder.getAttribute("data-tip");
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 10)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 10)}px`;
});

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const values = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) values.push(i * step);
  return values;
}
const plain = (x) => (x !== 0 && Math.abs(x) < 0.0001 ? x.toExponential(0) : String(parseFloat(x.toPrecision(4))));

// --------------------------------------------------------------------------------------------------------------- headline
function headline() {
  return make("div", { class: "cards", id: "headline" }, data.headline.map((a) =>
    make("div", { class: "card" },
      make("div", { class: "soft" }, a.name),
      make("div", { class: "value" }, a.value),
      a.low === undefined ? null : whisker(a, 188),
      a.notes.map((text) => make("div", { class: "soft small" }, text)))));
}

// 0 to 100 % as a line, the interval as a bar on it, the value as a tick.
function whisker(a, width) {
  const x = (value) => 4 + ((width - 8) * value) / 100;
  return make("svg", { width, height: 16, "data-tip": `${percent(a.percent)}, ${interval(a)}` },
    make("rect", { x: x(0), y: 7, width: x(100) - x(0), height: 2, fill: LINE }),
    make("rect", { x: x(a.low), y: 5, width: Math.max(x(a.high) - x(a.low), 2), height: 6, rx: 3, fill: PALE }),
    a.chance === undefined ? null : make("path", { d: `M${x(a.chance)} 1v14`, stroke: SOFT, "stroke-width": 1.2, "stroke-dasharray": "2 2", class: "chance" }),
    make("rect", { x: x(a.percent) - 1.5, y: 2, width: 3, height: 12, fill: RIGHT }));
}

// ----------------------------------------------------------------------------------------------------------------- matrix
const videos = data.videos || { path: [], label: [], guess: [], confidence: [], luma: null };
const cells = new Map(); // "label:guess" -> numbers of its videos
videos.label.forEach((label, i) => {
  const key = `${label}:${videos.guess[i]}`;
  if (!cells.has(key)) cells.set(key, []);
  cells.get(key).push(i);
});
const inClass = new Map();
videos.label.forEach((label) => inClass.set(label, (inClass.get(label) || 0) + 1));
const pairs = [...cells].map(([key, list]) => [...key.split(":").map(Number), list.length]).filter(([label, guess]) => label !== guess);
pairs.sort((a, b) => b[2] - a[2] || b[2] / inClass.get(b[0]) - a[2] / inClass.get(a[0]) || a[0] - b[0]);

// The classes of the most frequent confusions, in list order.
function mostConfused(most) {
  const chosen = new Set();
  for (const pair of pairs) for (const k of pair.slice(0, 2)) if (k >= 0 && chosen.size < most) chosen.add(k);
  return [...chosen].sort((a, b) => a - b);
}

function drawMatrix(shown, choose) {
  const named = shown.length <= MANY, longest = Math.max(...shown.map((k) => data.classes[k].length));
  const margin = named ? 34 + 7.2 * Math.min(longest, 22) : 24;
  const free = Math.min(760, room() > 900 ? 0.5 * room() - margin : room() - margin - 8); // the list of videos beside it, or below
  const size = named ? Math.max(15, Math.min(72, Math.floor(free / shown.length))) : Math.max(1.5, 1000 / shown.length);
  const slanted = named && size < 7.2 * longest;
  const top = named ? (slanted ? 22 + 6 * Math.min(longest, 22) : 42) : 24;
  const side = size * shown.length, place = new Map(shown.map((k, at) => [k, at]));
  const right = named && slanted ? 5 * Math.min(longest, 22) : 4;
  const svg = make("svg", { width: margin + side + right, height: top + side + 4 });
  const soft = (x, y, text, turn) => make("text", { x, y, class: "soft", transform: turn ? `rotate(-90 ${x} ${y})` : null,
    "text-anchor": "middle" }, text);
  svg.append(soft(margin + side / 2, 12, "the model says"), soft(11, top + side / 2, "true class", true));
  svg.append(make("rect", { x: margin, y: top, width: side, height: side, fill: "var(--empty)", stroke: LINE }));
  if (named) shown.forEach((k, at) => {
    const name = short(data.classes[k], 22), middle = (at + 0.5) * size;
    const x = margin + middle, y = top - 6;
    svg.append(make("text", { x: margin - 6, y: top + middle + 4, "text-anchor": "end" }, name));
    svg.append(slanted ? make("text", { x: x + 2, y, transform: `rotate(-50 ${x + 2} ${y})` }, name)
      : make("text", { x, y, "text-anchor": "middle" }, name));
  });
  for (const [key, list] of cells) {
    const [label, guess] = key.split(":").map(Number);
    if (!place.has(label) || !place.has(guess)) continue;
    const share = list.length / inClass.get(label), gap = size > 8 ? 1 : 0;
    const x = margin + place.get(guess) * size, y = top + place.get(label) * size;
    const what = label === guess ? "recognised" : `taken for ${nameOf(guess)}`;
    svg.append(make("rect", { x: x + gap / 2, y: y + gap / 2, width: size - gap, height: size - gap, "data-cell": key,
      fill: shade(label === guess ? FILL : WRONG_FILL, share, size > 8 ? 0.16 : 0.45), click: () => choose(key),
      "data-tip": `${nameOf(label)}: ${what}\n${list.length} of ${plural(inClass.get(label), "video")} (${percent(100 * share)})\nclick: the videos` }));
    if (size >= 16) svg.append(make("text", { x: x + size / 2, y: y + size / 2 + 4, "text-anchor": "middle", "pointer-events": "none",
      style: `fill: ${share > (label === guess ? 0.91 : 0.98) ? "#fff" : "var(--on-cell)"}`, // whichever has the contrast
      "font-size": size > 24 ? 14 : 10 }, String(list.length)));
  }
  return svg;
}

function confusion() {
  const holder = make("div", { class: "matrix" }), panel = make("div", { id: "panel" }), switches = make("div", { class: "choice small" });
  let chosen = null, classes = [];
  function mark() {
    holder.querySelectorAll("rect.chosen").forEach((rect) => rect.classList.remove("chosen"));
    if (chosen) holder.querySelectorAll(`[data-cell="${chosen}"]`).forEach((rect) => rect.classList.add("chosen"));
  }
  function choose(key) {
    chosen = key;
    mark();
    panel.replaceChildren(key ? videosOfCell(key, () => choose(null)) : frequentConfusions(choose));
  }
  const all = data.classes.map((_, k) => k), few = all.length > MANY && pairs.length ? mostConfused(30) : all;
  function show(shown) {
    classes = shown;
    holder.replaceChildren(drawMatrix(shown, choose));
    mark();
    if (few === all) return;
    const option = (text, some) => make("button", { disabled: shown === some ? "" : null, click: () => show(some) }, text);
    switches.replaceChildren(option(`the ${few.length} most confused classes`, few), option(`all ${all.length} classes`, all));
  }
  show(few);
  redraws.push(() => show(classes));
  choose(null);
  return section("confusion", "What is taken for what",
    note("Every row is a class as it really is, every column what the model says. ", make("b", { class: "right" }, "Blue"),
      ": recognised, ", make("b", { class: "wrong" }, "red"), ": mistaken; the stronger, the larger the share of that row's videos. ",
      "Click a cell to see its videos."),
    switches, make("div", { class: "two" }, holder, panel));
}

function frequentConfusions(choose) {
  if (!pairs.length) return make("p", {}, "No mistakes: every video is recognised.");
  const rows = pairs.slice(0, 12).map(([label, guess, count]) => make("tr", {},
    make("td", {}, make("button", { click: () => choose(`${label}:${guess}`) }, `${nameOf(label)} → ${nameOf(guess)}`)),
    make("td", { class: "number" }, `${count} of ${inClass.get(label)}`),
    make("td", { class: "number" }, percent((100 * count) / inClass.get(label)))));
  return make("div", {}, make("p", {}, make("b", {}, "Most frequent confusions")),
    make("table", {}, make("tr", {}, make("th", {}, "true class → said"), make("th", { class: "number" }, "videos"),
      make("th", { class: "number" }, "share")), rows),
    pairs.length > rows.length ? note(`and ${plural(pairs.length - rows.length, "rarer one")}, in the matrix`) : null);
}

function videosOfCell(key, back) {
  const [label, guess] = key.split(":").map(Number);
  const list = [...cells.get(key)].sort((a, b) => videos.confidence[b] - videos.confidence[a]), most = 200;
  const title = label === guess ? `${nameOf(label)}, recognised` : `${nameOf(label)}, taken for ${nameOf(guess)}`;
  const rows = list.slice(0, most).map((i) => make("tr", { "data-video": i },
    make("td", { class: "path" }, thumbnail(i), videoName(i)),
    make("td", { class: "number" }, sure(i)),
    videos.luma ? make("td", { class: "number" }, lumaText(videos.luma[i])) : null));
  return make("div", {}, make("p", {}, make("b", {}, title), ` – ${plural(list.length, "video")}`),
    make("div", { class: "list" }, make("table", {}, make("tr", {}, make("th", {}, "video"), make("th", { class: "number" }, "sure"),
      videos.luma ? make("th", { class: "number" }, "luma") : null), rows)),
    list.length > most ? note(`and ${list.length - most} more`) : null,
    make("p", {}, make("button", { id: "back", click: back }, "← the most frequent confusions")));
}

// A few frames of the video, brightened, where the page has them.
function thumbnail(i) {
  const src = (data.thumbnails || {})[i];
  return src ? make("img", { src, alt: `frames of ${videos.path[i]}`, title: "first, middle and last frame, brightened" }) : null;
}

const sure = (i) => percent(videos.confidence[i] === null ? null : 100 * videos.confidence[i]);
const lumaText = (value) => (value === null ? "–" : value.toFixed(3));

// The path; a link where its frames are shown below.
function videoName(i) {
  const card = document.getElementById(`video-${i}`);
  if (!card) return videos.path[i];
  return make("button", { click: () => {
    document.querySelectorAll(".mistake.chosen").forEach((other) => other.classList.remove("chosen"));
    card.classList.add("chosen");
    card.scrollIntoView({ block: "center" });
  } }, videos.path[i]);
}

// -------------------------------------------------------------------------------------------------------------- per class
function perClass() {
  const FEW = 20, body = make("table", {}), more = make("p", {});
  const worst = data.perClass.map((a, k) => ({ ...a, k })).filter((a) => a.total > 0)
    .sort((a, b) => a.percent - b.percent || b.total - a.total || a.k - b.k);
  const empty = data.classes.length - worst.length;
  const head = make("tr", {}, make("th", {}, "class"), make("th", { colspan: 2 }, "recognised, with 95 % interval"),
    make("th", { class: "number" }, "videos"), make("th", { class: "number" }, "right when it says it"), make("th", {}, "mostly taken for"));
  const row = (a) => {
    const wrong = pairs.find(([label]) => label === a.k);
    return make("tr", {}, make("td", { class: "name", title: data.classes[a.k] }, data.classes[a.k]), make("td", { class: "bar" }, bar({ ...a, chance: data.chance })),
      make("td", { class: "name" }, percent(a.percent)), make("td", { class: "number", "data-label": "videos:" }, `${a.correct} of ${a.total}`),
      make("td", { class: "number", "data-label": "right when it says it:" }, a.predicted ? `${a.correct} of ${a.predicted}` : "never says it"),
      make("td", { "data-label": wrong ? "mostly taken for" : null }, wrong ? `${nameOf(wrong[1])} (${wrong[2]})` : ""));
  };
  function show(rows) {
    body.replaceChildren(head, ...rows.map(row));
    more.replaceChildren(...(rows.length < worst.length
      ? [make("button", { click: () => show(worst) }, `show all ${worst.length} classes`)] : []));
  }
  show(worst.length > FEW + 5 ? worst.slice(0, FEW) : worst);
  return section("classes", "Class by class, the hardest first", body, more,
    data.chance === undefined ? null : note(`Dashed: chance, ${percent(data.chance)}.`),
    empty ? note(`${empty} of ${data.classes.length} classes have no test video and are left out.`) : null);
}

// As wide as there is room; lines keep their width however it is stretched.
function bar(a) {
  const whiskers = a.low !== undefined, line = (d, attributes) => make("path", { d, "vector-effect": "non-scaling-stroke", fill: "none", ...attributes });
  const told = `${percent(a.percent)} (${a.correct} of ${a.total})\n${whiskers ? interval(a) : ""}`;
  return make("svg", { width: "100%", height: 18, viewBox: "0 0 100 18", preserveAspectRatio: "none", "data-tip": whiskers ? told : null },
    make("rect", { x: 0, y: 3, width: 100, height: 12, fill: TRACK }),
    make("rect", { x: 0, y: 3, width: a.percent, height: 12, fill: FILL, opacity: 0.85 }),
    a.chance === undefined ? null : line(`M${a.chance} 1v16`, { stroke: SOFT, "stroke-width": 1.2, "stroke-dasharray": "2 2", class: "chance" }),
    whiskers ? line(`M${a.low} 9H${a.high}M${a.low} 5v8M${a.high} 5v8`, { stroke: INK, "stroke-width": 1.3 }) : null);
}

// ------------------------------------------------------------------------------------------------------------------ light
function light() {
  const title = "Accuracy by illumination";
  if (!data.light.length) return section("light", title, note("The score table holds no mean luma of the videos."));
  const holder = make("div", { class: "matrix" }), draw = () => holder.replaceChildren(lightBars());
  draw();
  redraws.push(draw);
  return section("light", title,
    note("The test videos in groups of equal size, from the darkest to the brightest; below each bar the mean luma of its videos (0 black, ",
      "1 white, before any enhancement). Whiskers: 95 % Wilson intervals; where they overlap widely, the groups may well be equal. ",
      data.chance === undefined ? "" : `Dashed: chance, ${percent(data.chance)}.`),
    holder);
}

function lightBars() {
  const bins = data.light.map((group) => ({ ...group.share, ends: [`${lumaText(group.low)} –`, lumaText(group.high)] }));
  const free = window.innerWidth >= 1500 ? 0.4 * room() - 30 : room(), width = Math.max(250, Math.min(free, 230 * bins.length));
  const height = 280, left = 46, top = 14, step = (width - left - 10) / bins.length, lines = step < 104 ? 2 : 1, bottom = 36 + 16 * lines;
  const y = (value) => top + ((height - top - bottom) * (100 - value)) / 100;
  const svg = make("svg", { width, height });
  for (const value of [0, 25, 50, 75, 100]) svg.append(
    make("line", { x1: left, x2: width - 10, y1: y(value), y2: y(value), stroke: LINE }),
    make("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", class: "soft" }, `${value} %`));
  if (data.chance !== undefined) svg.append(make("path", { d: `M${left} ${y(data.chance)}H${width - 10}`, stroke: SOFT, "stroke-width": 1.2, "stroke-dasharray": "4 3", class: "chance" }));
  bins.forEach((a, at) => {
    const middle = left + (at + 0.5) * step, wide = Math.min(54, step * 0.5);
    const glow = `rgb(${[0, 1, 2].map(() => Math.round(45 + (170 * at) / Math.max(bins.length - 1, 1))).join(",")})`;
    svg.append(
      make("rect", { x: middle - wide / 2, y: y(a.percent), width: wide, height: y(0) - y(a.percent), fill: FILL, opacity: 0.85,
        "data-tip": `mean luma ${a.ends.join(" ")}: ${percent(a.percent)} (${a.correct} of ${a.total})\n${interval(a)}` }),
      make("path", { d: `M${middle} ${y(a.low)}V${y(a.high)}M${middle - 7} ${y(a.low)}h14M${middle - 7} ${y(a.high)}h14`,
        stroke: INK, "stroke-width": 1.4, "pointer-events": "none" }),
      make("rect", { x: middle - wide / 2, y: y(0) + 4, width: wide, height: 7, fill: glow }),
      ...(lines === 1 ? [a.ends.join(" ")] : a.ends).map((text, line) => make("text", { x: middle, y: y(0) + 26 + 16 * line, "text-anchor": "middle" }, text)),
      make("text", { x: middle, y: y(0) + 26 + 16 * lines, "text-anchor": "middle", class: "soft" }, `${a.correct} of ${a.total}`));
  });
  return svg;
}

// ---------------------------------------------------------------------------------------------------------------- choices
// One row per value, the largest on top; a dot per video in the rows of the values that its views got, its area their share.
function choice(c) {
  const band = 58, left = 52, wide = 640, bars = 170, right = 24, top = 26, bottom = 44;
  const height = top + band * c.values.length + bottom, width = left + wide + right + bars + 142, start = left + wide + right;
  const y = (at) => top + band * (c.values.length - 0.5 - at), all = c.views.reduce((sum, n) => sum + n, 0);
  const lumas = c.dots.map((dot) => Math.max(dot[1], 0.001)), [x0, x1] = [Math.min(...lumas) / 1.1, Math.max(...lumas) * 1.1];
  const x = (luma) => left + (wide * Math.log(Math.max(luma, 0.001) / x0)) / Math.log(x1 / x0);
  const svg = make("svg", { width, height }, make("text", { x: 0, y: 16, class: "soft" }, c.name),
    make("text", { x: start, y: 16, class: "soft" }, plural(all, "view")));
  c.values.forEach((value, at) => {
    const part = c.views[at] / (all || 1);
    svg.append(
      make("rect", { x: left, y: y(at) - band / 2 + 2, width: wide, height: band - 4, fill: "var(--ground)" }),
      make("text", { x: left - 10, y: y(at) + 4, "text-anchor": "end", "font-weight": 600 }, plain(value)),
      make("rect", { x: start, y: y(at) - 8, width: bars, height: 16, fill: TRACK }),
      make("rect", { x: start, y: y(at) - 8, width: bars * part, height: 16, fill: RIGHT, opacity: 0.75 }),
      make("text", { x: start + bars + 8, y: y(at) + 4 }, c.views[at] ? `${percent(100 * part)} (${c.views[at]})` : "never"));
  });
  if (!c.dots.length) return svg;
  for (const value of [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]) if (value >= x0 && value <= x1) svg.append(
    make("line", { x1: x(value), x2: x(value), y1: top, y2: height - bottom, stroke: LINE }),
    make("text", { x: x(value), y: height - bottom + 18, "text-anchor": "middle", class: "soft" }, plain(value)));
  svg.append(make("text", { x: left + wide / 2, y: height - 8, "text-anchor": "middle", class: "soft" }, "mean luma of the video, darker to the left"));
  const medians = (d, wide) => c.median_luma.forEach((luma, at) => luma === null || svg.append(make("path", { d: `M${x(luma)} ${y(at) - band / 2 + 2}${d}`,
    stroke: INK, "stroke-width": wide, "data-tip": `${c.name} ${plain(c.values[at])}: median luma of its views ${lumaText(luma)}` })));
  medians(`v${band - 4}`, 1);
  swarm(c, x, y, band).forEach((dot) => svg.append(dot));
  medians(`v7m0 ${band - 18}v7`, 3); // over the dots, where there are many
  return svg;
}

// Dots beside each other where there is room in their row, else over each other.
function swarm(c, x, y, band) {
  const placed = c.values.map(() => []), dots = [], largest = Math.min(7, Math.max(4, 10 - c.dots.length / 50));
  const order = c.dots.map((_, i) => i).sort((a, b) => c.dots[a][1] - c.dots[b][1]);
  for (const i of order) {
    const [path, luma, counts] = c.dots[i], views = counts.reduce((sum, n) => sum + n, 0);
    const told = c.values.map((value, at) => (counts[at] ? `${c.name} ${plain(value)} in ${counts[at]} of ${plural(views, "view")}` : "")).filter(Boolean);
    counts.forEach((count, at) => {
      if (!count) return;
      const r = Math.max(1.5, largest * Math.sqrt(count / views)), most = band / 2 - 3 - r, cx = x(luma), near = placed[at].slice(-60);
      const free = (dy) => near.every((o) => (o.cx - cx) ** 2 + (o.dy - dy) ** 2 >= (o.r + r + 0.6) ** 2);
      const tries = [0];
      for (let d = 1; d <= most; d++) tries.push(d, -d);
      const place = tries.find(free), dy = place === undefined ? tries[(i * 7) % tries.length] : place;
      placed[at].push({ cx, dy, r });
      dots.push(make("circle", { cx, cy: y(at) + dy, r, fill: RIGHT, opacity: 0.7, "data-dot": i,
        "data-tip": `${path}\nmean luma ${lumaText(luma)}\n${told.join("\n")}` }));
    });
  }
  return dots;
}

function choices() {
  return (data.choices || []).map((c) => {
    const r = c.correlation_with_darkness, used = c.views.filter((n) => n).length;
    const trend = Math.abs(r) < 0.2 ? `The light of a video hardly tells its ${c.name}` : `The darker a video, the ${r < 0 ? "smaller" : "larger"} its ${c.name}`;
    const verdict = r === null ? (used > 1 ? "" : `Every view got the same ${c.name}.`)
      : `${trend}: Spearman’s rank correlation between darkness and ${c.name} is ${r.toFixed(2)}.`;
    const some = c.dots.length < c.known ? ` ${c.dots.length} of ${c.known} videos are drawn.` : "";
    return section(`choice-${c.name}`, `Which ${c.name} the model chose, by illumination`, make("p", {}, make("b", {}, verdict)),
      note(`Every dot is a video in the row of the ${c.name} that its views got; where they disagree it stands in several rows, smaller in each. `,
        `Dark mark: the median luma of the views in a row. Bars: all views of ${plural(c.videos, "video")}.${some}`,
        c.dots.length ? "" : " The score table holds no mean luma of the videos."),
      make("div", { class: "matrix" }, choice(c)));
  });
}

// --------------------------------------------------------------------------------------------------------------- mistakes
function mistakes() {
  const number = videos.label.filter((label, i) => label !== videos.guess[i]).length;
  const cards = data.mistakes.map((m) => make("div", { class: "mistake", id: `video-${m.video}` },
    make("div", {}, "is ", make("b", { class: "right" }, nameOf(videos.label[m.video])), ", the model says ",
      make("b", { class: "wrong" }, nameOf(videos.guess[m.video])), ` and is ${sure(m.video)} sure`),
    make("div", { class: "soft small" }, videos.path[m.video], videos.luma ? `, mean luma ${lumaText(videos.luma[m.video])}` : "",
      "; ", m.top.map(([k, p]) => `${data.classes[k]} ${percent(100 * p)}`).join(", ")),
    m.strips.map((strip) => make("figure", {}, make("figcaption", {}, strip.title), make("img", { src: strip.src, alt: strip.title }))),
    m.why ? note(m.why) : null));
  const text = number ? `${data.mistakes.length} of ${plural(number, "mistake")}, the most confident first. “Sure” is ${data.sure}.`
    : "There are none.";
  return section("mistakes", "The most confident mistakes", note(text), make("div", { class: "mistakes" }, cards));
}

// ----------------------------------------------------------------------------------------------------------------- curves
const colour = (series) => series.colour || (series.pale ? PALE : RIGHT);

function chart(c, width) {
  const height = 240, left = 52, bottom = 34, top = 10, right = 12;
  const xs = c.series.flatMap((s) => s.x), ys = c.series.flatMap((s) => s.y);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = c.range || [Math.min(0, ...ys), Math.max(...ys)];
  const x = (value) => left + ((width - left - right) * (value - x0)) / (x1 - x0 || 1);
  const y = (value) => top + ((height - top - bottom) * (y1 - value)) / (y1 - y0 || 1);
  const svg = make("svg", { width, height });
  for (const value of ticks(y0, y1, 5)) svg.append(
    make("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: LINE }),
    make("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", class: "soft" }, plain(value)));
  for (const value of ticks(x0, x1, width / 55)) svg.append(
    make("text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle", class: "soft" }, plain(value)));
  svg.append(make("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle", class: "soft" }, "epoch"));
  for (const s of c.series) {
    const points = s.x.map((value, i) => `${x(value).toFixed(1)} ${y(s.y[i]).toFixed(1)}`);
    if (points.length > 1) svg.append(make("path", { d: "M" + points.join("L"), fill: "none", stroke: colour(s), "stroke-width": s.thin ? 0.8 : 1.8 }));
    if (!s.thin && points.length <= 60) s.x.forEach((value, i) => svg.append(make("circle", { cx: x(value), cy: y(s.y[i]), r: 2.2, fill: colour(s) })));
  }
  if (c.chance !== undefined) svg.append(make("path", { d: `M${left} ${y(c.chance)}H${width - right}`, stroke: SOFT, "stroke-width": 1.2, "stroke-dasharray": "4 3", class: "chance" }));
  const cursor = make("line", { y1: top, y2: height - bottom, stroke: SOFT, "stroke-dasharray": "3 3", visibility: "hidden" });
  const sheet = make("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom, fill: "transparent", "data-tip": "" });
  sheet.addEventListener("mousemove", (event) => {
    const box = sheet.getBoundingClientRect(), at = x0 + ((x1 - x0) * (event.clientX - box.left)) / (box.width || 1);
    const near = (s) => s.x.reduce((best, value, i) => (Math.abs(value - at) < Math.abs(s.x[best] - at) ? i : best), 0);
    const main = c.series.find((s) => !s.thin) || c.series[0], epoch = main.x[near(main)];
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, x(epoch));
    cursor.setAttribute("visibility", "visible");
    sheet.setAttribute("data-tip", [`epoch ${plain(epoch)}`, ...c.series.filter((s) => !s.thin && epoch <= s.x[s.x.length - 1]).map((s) => `${s.name}: ${plain(s.y[near(s)])}`)].join("\n"));
  });
  sheet.addEventListener("mouseleave", () => cursor.setAttribute("visibility", "hidden"));
  svg.append(cursor, sheet);
  return make("div", { class: "chart" }, make("b", {}, c.title), make("div", { class: "legend small soft" }, c.series.map((s) =>
    make("span", {}, make("i", { style: `background: ${colour(s)}` }), s.name)),
    c.chance === undefined ? null : make("span", {}, make("i", { class: "dashed" }), `chance, ${percent(c.chance)}`)), svg);
}

// Charts side by side, as many as there is room for.
function fillWithCharts(holder, plans) {
  const beside = Math.max(1, Math.min(plans.length, Math.floor((room() + 24) / 344)));
  holder.replaceChildren(...plans.map((c) => chart(c, Math.floor(Math.min(860, (room() + 24) / beside - 24)))));
}

function curves() {
  if (!data.curves.length) return section("curves", "Training", note("The log of this run has no training records."));
  const holder = make("div", { class: "charts" }), draw = () => fillWithCharts(holder, data.curves);
  draw();
  redraws.push(draw);
  return section("curves", "Training", holder);
}

// ------------------------------------------------------------------------------------------------------------------- page
function facts() {
  const rows = data.facts.map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, value)));
  return section("facts", "The run", make("table", { class: "facts" }, rows),
    data.config ? make("details", {}, make("summary", {}, "the whole config"), make("pre", {}, data.config)) : null);
}

// Where videos have several labels: no class is taken for another, every class has its average precision.
function precision() {
  const rows = data.classes.map((name, k) => ({ name, value: data.precision[k] })).filter((row) => row.value !== null);
  rows.sort((a, b) => a.value - b.value);
  return section("classes", "Average precision of every class, the hardest first", make("table", {}, rows.map((row) => make("tr", {},
    make("td", { class: "name", title: row.name }, row.name), make("td", { class: "bar" }, bar({ percent: row.value })),
    make("td", { class: "name" }, percent(row.value))))));
}

const page = document.getElementById("page");
page.append(make("header", {}, make("h1", {}, data.title), make("p", { class: "soft" }, data.subtitle)),
  data.warning ? make("p", { id: "warning" }, make("b", {}, "Careful: "), data.warning) : "", headline(),
  section("short", "In short", make("ul", { class: "short" }, data.short.map((text) => make("li", {}, text)))));
if (data.precision) page.append(precision(), ...choices(), curves());
else {
  const last = mistakes(); // in the document before the matrix: its lists of videos point here
  page.append(last);
  for (const part of [confusion(), perClass(), light(), ...choices(), curves()]) page.insertBefore(part, last);
}
page.append(facts());
document.body.dataset.ready = "yes";
