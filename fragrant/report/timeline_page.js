"use strict";
// The page of one file: the video, its classes over time, and a list of what happens; a click anywhere leads there.

const data = JSON.parse(document.getElementById("data").textContent);
const video = make("video", { src: data.video, controls: "", preload: "auto", muted: "", playsinline: "", "aria-label": `the video ${data.name}` });
const lost = make("p", { id: "lost", class: "soft", hidden: "" },
  "This browser cannot play the video: it was moved, or its format is not for browsers (H.264 in an MP4 is).");
video.addEventListener("error", () => { lost.hidden = false; video.hidden = true; });

const holder = make("div", { id: "timeline", role: "slider", "aria-label": "place in the video, seconds", "aria-valuemin": 0,
  "aria-valuemax": data.end.toFixed(2), "aria-valuenow": 0 });
function jump(t) {
  if (!video.hidden) video.currentTime = Math.min(t, data.end);
  line.cursor(t);
  holder.setAttribute("aria-valuenow", t.toFixed(2));
}
const list = make("ul", { class: "actions", id: "actions" }, data.segments.map((s) => make("li", {},
  make("button", { class: "when", click: () => jump(s.start) }, `${clockOf(s.start)} – ${clockOf(s.end)}`),
  make("span", { class: "what" }, make("b", {}, s.name), ` ${percent(s.prob)}`))));
const bright = make("input", { type: "checkbox", id: "brighten" });
bright.addEventListener("change", () => { video.style.filter = bright.checked ? `brightness(${data.brighten})` : ""; });

document.getElementById("page").append(
  make("h1", {}, data.name), make("p", { class: "soft" }, data.subtitle),
  make("section", {}, video, lost, make("div", { class: "options small" }, make("label", {}, bright, "brighten the dark"))),
  make("section", {}, make("h2", {}, "Over time"), make("p", { class: "soft small" },
    "A row per class: the higher, the more probable; the bar beneath: the most probable one there. Click, or use the arrow keys: the video jumps there."), holder,
  data.left_out ? make("p", { class: "soft small" }, `${data.left_out} less probable classes are left out.`) : null),
  make("section", {}, make("h2", {}, "What it shows"), list));
const line = timeline(holder, jump);
line.draw({ from: 0, to: data.end, rows: data.rows, luma: data.luma });
line.cursor(0);
video.addEventListener("timeupdate", () => line.cursor(video.currentTime));
video.addEventListener("seeking", () => line.cursor(video.currentTime));
document.body.dataset.ready = "yes";
