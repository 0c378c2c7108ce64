// --------------------------------------------------------------------------------------------------------------- previews
// Previews come brightened; a filter of the page makes them as dark as the video is, until the mouse is over them.
const SVG = "http://www.w3.org/2000/svg", NARROW = 112, MANY_CLASSES = 30, MANY_ROWS = 100;
function darkening(gammas) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["width", 0], ["height", 0], ["aria-hidden", "true"], ["style", "position: absolute"]]) svg.setAttribute(name, value);
  for (const gamma of gammas) {
    const filter = document.createElementNS(SVG, "filter"), transfer = document.createElementNS(SVG, "feComponentTransfer");
    filter.setAttribute("id", `dark-${Math.round(10 * gamma)}`);
    filter.setAttribute("color-interpolation-filters", "sRGB");
    for (const channel of ["R", "G", "B"]) {
      const curve = document.createElementNS(SVG, `feFunc${channel}`);
      curve.setAttribute("type", "gamma");
      curve.setAttribute("exponent", gamma);
      transfer.append(curve);
    }
    filter.append(transfer);
    svg.append(filter);
  }
  return svg;
}

const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
  entry.target.classList.toggle("near", entry.isIntersecting);
  if (entry.isIntersecting) entry.target.querySelectorAll("img[data-src]").forEach((image) => {
    image.src = image.dataset.src;
    image.removeAttribute("data-src");
  });
}), { rootMargin: "250px" });

// least: width, for the small clips of small networks, whose pixels are then shown as they are.
function playing(preview, alt, least = 0) {
  const dark = preview.gamma > 1 ? `url(#dark-${Math.round(10 * preview.gamma)})` : "none";
  const shape = `aspect-ratio: ${preview.width} / ${preview.height}; width: ${Math.max(preview.width, least)}px; max-width: 100%`;
  return make("div", { class: "window", style: `${shape}; --n: ${preview.frames}; --t: ${preview.seconds}s; --dark: ${dark}` },
    make("img", { "data-src": preview.src, alt, class: preview.width < least ? "large" : null }));
}

function tile(inside, caption, attributes, width) {
  const figure = make("figure", { tabindex: 0, style: `width: ${Math.max(width, NARROW)}px`, ...attributes, class: `clip ${attributes.class || ""}` }, inside, make("figcaption", {}, caption));
  near.observe(figure);
  return figure;
}

// ----------------------------------------------------------------------------------------------------------------- videos
const videos = data.videos, all = videos.path.map((_, i) => i);
const baseName = (path) => path.split(/[\\/]|::/).filter(Boolean).pop() || path;
const className = (k) => (k < 0 ? "unlabelled" : data.classes[k]);
const seconds = (i) => (videos.fps[i] ? videos.frames[i] / videos.fps[i] : null);
const words = all.map((i) => [videos.path[i], ...videos.labels[i].map(className)].join("\n").toLowerCase());

function facts(i) {
  const s = seconds(i), target = videos.target[i];
  return [videos.path[i], `${data.lists[videos.list[i]]}: ${videos.labels[i].map(className).join(", ")}`,
    target ? `probabilities: ${target.map(([k, p]) => `${className(k)} ${plain(p)}`).join(", ")}` : "",
    videos.size[i] ? `${videos.size[i].replace("x", " x ")}, ${plural(videos.frames[i], "frame")}${videos.fps[i] ? ` at ${plain(videos.fps[i])} per second` : ""}` : "",
    s === null ? "" : `${s.toFixed(2)} s`, videos.luma[i] === null ? "" : `mean luma ${videos.luma[i].toFixed(3)}`,
    videos.problem[i]].filter(Boolean).join("\n");
}

function videoTile(i) {
  const preview = videos.preview[i], wrong = videos.problem[i] !== "", s = seconds(i);
  const inside = preview === null ? make("div", { class: "none" }, wrong ? "cannot be shown" : "no preview") : playing(data.previews[preview], baseName(videos.path[i]));
  const caption = [make("b", {}, baseName(videos.path[i])), [s === null ? (videos.frames[i] ? plural(videos.frames[i], "frame") : "") : `${s.toFixed(s < 1 ? 2 : 1)} s`,
    videos.luma[i] === null ? "" : `luma ${videos.luma[i].toFixed(3)}`].filter(Boolean).join(", ")];
  return tile(inside, caption, { class: wrong ? "wrong" : "", "data-video": i, "data-tip": facts(i) },
    preview === null ? 0 : data.previews[preview].width);
}

const legend = () => (data.lists.length < 2 ? null : make("p", { class: "key small soft" }, data.lists.map((name, at) =>
  make("span", {}, make("i", { style: `background: ${listColour(at)}` }), name))));
const listColour = (at) => `var(--list${at % 5})`;

// ---------------------------------------------------------------------------------------------------------- search, strips
const state = { text: "", list: null };
const fits = (i) => (state.list === null || videos.list[i] === state.list) && state.text.split(/\s+/).every((word) => words[i].includes(word));

// Class -> its videos: those with a preview, and those that cannot be shown.
const ofClass = new Map();
for (const i of all) for (const k of videos.labels[i]) {
  if (!ofClass.has(k)) ofClass.set(k, []);
  ofClass.get(k).push(i);
}
const order = [...ofClass.keys()].sort((a, b) => (a < 0) - (b < 0) || a - b);

function strips() {
  const holder = make("div", {}), more = make("p", {});
  let whole = false;
  const blocks = order.map((k) => {
    const shown = ofClass.get(k).filter((i) => videos.preview[i] !== null || videos.problem[i]).slice(0, data.perClass + 24);
    const count = make("span", { class: "soft" });
    let tiles = null;
    const strip = make("div", { class: "strip" });
    const block = make("div", { class: "class", "data-class": k }, make("h3", {}, className(k), count), strip);
    return { block, update(rank) {
      const mine = ofClass.get(k).filter(fits);
      block.hidden = !mine.length || (!whole && rank >= MANY_CLASSES);
      if (block.hidden) return mine.length > 0;
      tiles = tiles || shown.map((i) => [i, videoTile(i)]);
      strip.replaceChildren(...tiles.filter(([i]) => fits(i)).map(([, node]) => node));
      count.textContent = `${tiles.filter(([i]) => fits(i) && videos.preview[i] !== null).length} of ${plural(mine.length, "video")}`;
      return true;
    } };
  });
  holder.append(...blocks.map(({ block }) => block));
  function update() {
    let rank = 0;
    for (const { update: draw } of blocks) if (draw(rank)) rank++;
    more.replaceChildren(...(!whole && rank > MANY_CLASSES
      ? [make("button", { click: () => { whole = true; update(); } }, `show all ${rank} classes`)] : []));
  }
  const told = data.perClass ? `At most ${plural(data.perClass, "video")} of each class, evenly from the lists, two seconds from the middle of each. ` : "";
  return [section("videos", "Videos, class by class", note(told, "Point at one to brighten it."), holder, more), update];
}

function found() {
  const body = make("div", {}), part = section("found", "Found", body);
  return [part, () => {
    part.hidden = !state.text;
    if (part.hidden) return;
    const list = all.filter(fits), head = ["video", "class", "list", "seconds", "frames", "size", "luma", "problem"];
    const numeric = new Set(["seconds", "frames", "luma"]);
    const cells = (i) => [videos.path[i], videos.labels[i].map(className).join(", "), data.lists[videos.list[i]], seconds(i) === null ? "–" : seconds(i).toFixed(1),
      videos.frames[i], videos.size[i], videos.luma[i] === null ? "–" : videos.luma[i].toFixed(3), videos.problem[i]];
    const kinds = ["path", "name", "", "number", "number", "", "number", "wrong"];
    body.replaceChildren(make("p", {}, make("b", {}, plural(list.length, "video"))),
      list.length ? make("div", { class: "wide" }, make("table", {}, make("tr", {}, head.map((text) => make("th", { class: numeric.has(text) ? "number" : "" }, text))),
        list.slice(0, MANY_ROWS).map((i) => make("tr", { "data-found": i }, cells(i).map((text, at) => make("td", { class: kinds[at] }, String(text))))))) : "",
      list.length > MANY_ROWS ? note(`and ${list.length - MANY_ROWS} more`) : "");
  }];
}

// ------------------------------------------------------------------------------------------------------- balance, histograms
function stack(counts, most) {
  return make("div", { class: "stack" }, counts.map((n, at) => make("i", { style: `width: ${(100 * n) / (most || 1)}%; background: ${listColour(at)}`,
    "data-tip": `${data.lists[at]}: ${n}` })));
}

function balance() {
  const rows = [...data.classes, "unlabelled"].map((name, k) => ({ name, counts: data.counts.map((list) => list[k]) }));
  if (rows[rows.length - 1].counts.every((n) => !n)) rows.pop();
  const total = (row) => row.counts.reduce((sum, n) => sum + n, 0), most = Math.max(1, ...rows.map(total));
  const body = make("table", {}), more = make("p", {});
  const head = make("tr", {}, make("th", {}, "class"), make("th", {}, ""), data.lists.map((name) => make("th", { class: "number" }, name)));
  function show(some) {
    body.replaceChildren(head, ...some.map((row) => make("tr", {}, make("td", { class: "name", title: row.name }, row.name),
      make("td", { class: "bar" }, stack(row.counts, most)), row.counts.map((n) => make("td", { class: n ? "number" : "number wrong" }, String(n))))));
    more.replaceChildren(...(some.length < rows.length ? [make("button", { click: () => show(rows) }, `show all ${rows.length} classes`)] : []));
  }
  show(rows.length > MANY_CLASSES + 5 ? rows.slice(0, MANY_CLASSES) : rows);
  const first = data.counts[0].slice(0, data.classes.length), least = Math.min(...first), largest = Math.max(...first);
  const told = !data.classes.length ? "" : least && least === largest ? `Every class of ${data.lists[0]} has ${plural(least, "video")}.` : least ? `The largest class of ${data.lists[0]} has ${plain(Math.round((10 * largest) / least) / 10)} times as many videos as the smallest.`
    : `Classes of ${data.lists[0]} without a video: ${first.filter((n) => !n).length}.`;
  return section("balance", "Class balance", make("p", {}, told), legend(), make("div", { class: "wide" }, body), more);
}

function columns(h) {
  const width = 430, height = 190, left = 40, right = 8, top = 10, bottom = 40;
  const most = Math.max(...h.bars.map(([, counts]) => counts.reduce((sum, n) => sum + n, 0))), marks = ticks(0, most, 4).filter((n) => Number.isInteger(n));
  const y = (n) => top + ((height - top - bottom) * (most - n)) / (most || 1), step = (width - left - right) / h.bars.length;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", style: "max-width: 480px" });
  for (const n of marks) svg.append(make("line", { x1: left, x2: width - right, y1: y(n), y2: y(n), stroke: LINE }),
    make("text", { x: left - 6, y: y(n) + 4, "text-anchor": "end", class: "soft" }, plain(n)));
  const longest = Math.max(...h.bars.map(([label]) => label.split(" – ")[0].length)), every = Math.max(1, Math.ceil((longest * 7 + 10) / step));
  h.bars.forEach(([label, counts], at) => {
    let below = 0;
    const bar = make("g", { "data-tip": `${label}: ${counts.map((n, own) => `${data.lists.length > 1 ? `${data.lists[own]} ` : ""}${n}`).join(", ")}` },
      make("rect", { x: left + at * step, y: top, width: step, height: height - top - bottom, fill: "transparent" }));
    counts.forEach((n, own) => {
      bar.append(make("rect", { x: left + at * step + 0.5, y: y(below + n), width: Math.max(step - 1, 0.5), height: y(below) - y(below + n), style: `fill: ${listColour(own)}`, opacity: 0.85 }));
      below += n;
    });
    svg.append(bar);
    if (at % every === 0) svg.append(make("text", { x: left + at * step, y: height - bottom + 15, "text-anchor": "middle", class: "soft" }, label.replace("from ", "").split(" – ")[0]));
  });
  svg.append(make("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle", class: "soft" }, h.unit));
  return svg;
}

function kinds(h) {
  const most = Math.max(...h.bars.map(([, counts]) => counts.reduce((sum, n) => sum + n, 0)));
  return make("table", { class: "rows small" }, h.bars.map(([label, counts]) => make("tr", {}, make("td", {}, label), make("td", { class: "stacked" }, stack(counts, most)),
    make("td", { class: "number" }, String(counts.reduce((sum, n) => sum + n, 0))))));
}

function histograms() {
  return section("facts", "Light, length and size", legend(), make("div", { class: "charts" }, data.histograms.map((h) =>
    make("div", { class: "chart", "data-chart": h.title }, make("b", {}, h.title), h.rows ? make("span", { class: "soft small" }, ` ${h.unit}`) : null, h.bars.length ? (h.rows ? kinds(h) : columns(h)) : note("not known of any video"),
      h.missing && h.bars.length ? note(`not known of ${plural(h.missing, "video")}`) : null))));
}

// ------------------------------------------------------------------------------------------------------------ problems, draws
function problems() {
  const p = data.problems;
  const notes = p.notes.length ? note(`Unusual, and no problem: ${p.notes.map(([text, n]) => `${plural(n, "video")}, ${text}`).join("; ")}.`) : null;
  if (!p.total) return section("problems", "Problems", make("p", {}, "None: every video that was looked at can be read to its end, and stands in its list once."), notes);
  const rows = p.rows.map(([list, kind, where, text]) => make("tr", {}, make("td", { class: "kind" }, kind), make("td", { class: "path" }, text, make("div", { class: "soft small" }, where))));
  return section("problems", "Problems", make("p", {}, make("b", { class: "wrong" }, p.kinds.map(([kind, n]) => `${kind} ${n}`).join(", "))), make("table", {}, rows),
    p.total > p.rows.length ? note(`and ${p.total - p.rows.length} more, in the tables of tools/check_data.py`) : null, notes);
}

const signed = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
function draws() {
  const frames = (list) => (list.length > 8 ? `${list.slice(0, 3).join(" ")} … ${list[list.length - 1]}` : list.join(" "));
  const one = (d) => make("div", { class: "drawn" }, make("h3", {}, d.label, make("span", { class: "soft" }, baseName(d.path))),
    d.why ? make("p", { class: "wrong" }, d.why) : make("div", { class: "strip" },
      tile(playing(d.original, d.path), [make("b", {}, "as it is read"), `frames ${frames(d.draws[0].frames)}`], { class: "original", "data-tip": d.path }, d.original.width + 11),
      d.draws.map((draw) => tile(make("div", { class: "streams" }, draw.streams.map((stream) => playing(stream, `epoch ${draw.epoch}`, NARROW))),
        [make("b", {}, `epoch ${draw.epoch}`), draw.mean.map((mean, at) => `mean ${signed(mean)}, std ${draw.std[at].toFixed(2)}`).join("; ")],
        { "data-tip": `frames ${draw.frames.join(" ")}` }, Math.max(136, draw.streams.reduce((sum, stream) => sum + Math.max(stream.width, NARROW) + 3, 0))))));
  return section("network", "What the network gets", make("p", {}, `${data.clip}.`),
    note("The clip of a video in the first epochs of a training, exactly: frames, crop, light and all that is drawn by chance, without mixing of videos. Mean and standard deviation are those of ",
      "the normalised pixels: near 0 and 1 where DATA.MEAN and DATA.STD fit the data."), data.drawn.map(one));
}

// -------------------------------------------------------------------------------------------------------------------- page
const page = document.getElementById("page");
const gammas = new Set([...data.previews, ...data.drawn.flatMap((d) => [d.original, ...d.draws.flatMap((draw) => draw.streams)])].filter(Boolean).map((p) => p.gamma));
const [stripPart, updateStrips] = strips(), [foundPart, updateFound] = found();
const parts = [stripPart, ...(data.drawn.length ? [draws()] : []), balance(), histograms(), problems()];
const bright = make("input", { type: "checkbox", id: "bright" }), search = make("input", { type: "search", id: "search", placeholder: "name or class", "aria-label": "search videos by name or class" });
const choice = make("div", { class: "choice small", id: "lists" });
function update() {
  choice.replaceChildren(...(data.lists.length < 2 ? [] : [null, ...data.lists.keys()].map((at) => make("button", { disabled: state.list === at ? "" : null,
    click: () => { state.list = at; update(); } }, at === null ? "all lists" : data.lists[at]))));
  updateFound();
  updateStrips();
}
let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { state.text = search.value.trim().toLowerCase(); update(); }, 80);
});
bright.addEventListener("change", () => document.body.classList.toggle("bright", bright.checked));
page.append(darkening(gammas), make("header", {}, make("h1", {}, data.title), make("p", { class: "soft" }, data.subtitle),
  make("div", { id: "notes", class: "small soft" }, data.notes.map((text) => make("p", {}, text))),
  make("div", { class: "cards", id: "cards" }, data.cards.map((card) => make("div", { class: "card" }, make("div", { class: "soft" }, card.name),
    make("div", { class: card.bad ? "value bad" : "value" }, card.value), card.notes.map((text) => make("div", { class: "soft small" }, text))))),
  make("nav", { class: "small" }, parts.map((part) => make("a", { href: `#${part.id}` }, part.querySelector("h2").textContent)))),
  make("div", { id: "tools" }, search, choice, make("label", { class: "small" }, bright, " brighten all")), foundPart, ...parts);
update();
document.body.dataset.ready = "yes";
