"use strict";

// Tables: a click on a heading sorts; numbers from the largest, texts from A; empty cells stay last.
function cellValue(row, column, numeric) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (!numeric) return text.toLowerCase();
  const value = text === "" ? NaN : parseFloat(text);
  return Number.isNaN(value) ? null : value;
}

function sortTable(heading) {
  const table = heading.closest("table");
  const numeric = heading.querySelector(".sort").dataset.sort === "number";
  const first = numeric ? "descending" : "ascending";
  const second = numeric ? "ascending" : "descending";
  const order = heading.getAttribute("aria-sort") === first ? second : first;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const keyed = [...table.tBodies[0].rows].map((row) => [cellValue(row, heading.cellIndex, numeric), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (numeric ? a - b : a.localeCompare(b));
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => sortTable(button.closest("th")));
}

// Tabs: one panel of a group at a time.
function selectTab(list, index) {
  [...list.children].forEach((tab, place) => {
    const chosen = place === index;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  });
}

for (const list of document.querySelectorAll(".tabs")) {
  list.classList.add("live");
  [...list.children].forEach((tab, index) => tab.addEventListener("click", () => selectTab(list, index)));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const count = list.children.length;
    const next = ([...list.children].indexOf(document.activeElement) + step + count) % count;
    selectTab(list, next);
    list.children[next].focus();
  });
  selectTab(list, 0);
}

// Enlarging: a frame in all its views, or one still.
const dialog = document.getElementById("enlarged");
const stage = dialog.querySelector(".stage");
const caption = dialog.querySelector(".caption");
let strip = null;
let column = 0;

function framed(source, name) {
  const figure = document.createElement("figure");
  const image = document.createElement("img");
  image.src = source;
  image.alt = name;
  const text = document.createElement("figcaption");
  text.textContent = name;
  figure.append(image, text);
  return figure;
}

function showInstant() {
  const shots = strip.querySelectorAll(`.shot[data-column="${column}"]`);
  stage.replaceChildren(...[...shots].map((shot) => framed(shot.firstElementChild.src, shot.dataset.view)));
  stage.classList.remove("single");
  dialog.classList.remove("drawing");
  const time = strip.querySelectorAll(".time")[column].textContent;
  const frame = shots[0].firstElementChild.alt.split(", ").pop();
  caption.textContent = `${strip.dataset.video} · ${frame} · ${time}`;
  dialog.querySelector(".steps").hidden = false;
}

function step(by) {
  if (!strip) return;
  const count = strip.querySelectorAll(".time").length;
  column = (column + by + count) % count;
  showInstant();
}

function showSingle(content, text) {
  strip = null;
  stage.replaceChildren(content);
  stage.classList.add("single");
  dialog.classList.toggle("drawing", content.tagName === "svg");
  caption.textContent = text;
  dialog.querySelector(".steps").hidden = true;
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const shot = event.target.closest(".shot");
  const still = event.target.closest("button.still");
  const large = event.target.closest("button.enlarge");
  if (shot) {
    strip = shot.closest(".sheet");
    column = Number(shot.dataset.column);
    showInstant();
    dialog.showModal();
  } else if (still) {
    const image = still.querySelector("img");
    const source = image ? image.src : getComputedStyle(still).backgroundImage.slice(5, -2);
    showSingle(framed(source, ""), still.getAttribute("aria-label"));
  } else if (large) {
    const figure = large.closest(".enlargeable");
    const drawing = figure.querySelector("svg").cloneNode(true);
    drawing.removeAttribute("style");
    showSingle(drawing, drawing.getAttribute("aria-label"));
  } else if (event.target === dialog) {
    dialog.close();
  } else if (event.target.dataset && event.target.dataset.step) {
    step(Number(event.target.dataset.step));
  }
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") step(1);
  if (event.key === "ArrowLeft") step(-1);
});

// Charts: the values under the pointer.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

function nearest(values, wanted) {
  return values.reduce((best, value, index) =>
    Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? index : best, 0);
}

function tipLine(series, index) {
  const line = document.createElement("div");
  line.className = series.style;
  line.append(document.createElement("i"), `${series.name} ${series.text[index]}`.trim());
  return line;
}

function hover(svg, chart, event) {
  const [low, high, left, right] = chart.x;
  const box = svg.getBoundingClientRect();
  const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
  const wanted = low + ((at - left) / (right - left)) * (high - low);
  const all = chart.series.flatMap((series) => series.x);
  const x = all[nearest(all, wanted)];
  const cursor = svg.querySelector(".cursor");
  const place = left + ((x - low) / (high - low)) * (right - left);
  cursor.setAttribute("x1", place);
  cursor.setAttribute("x2", place);
  cursor.setAttribute("visibility", "visible");
  const heading = document.createElement("b");
  heading.textContent = `${chart.label} ${x}`;
  const present = chart.series.filter((series) => series.x.includes(x));
  tip.replaceChildren(heading, ...present.map((series) => tipLine(series, series.x.indexOf(x))));
  tip.hidden = false;
  const limit = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(event.pageX + 14, limit))}px`;
  tip.style.top = `${event.pageY + 14}px`;
}

for (const svg of document.querySelectorAll(".chart")) {
  const chart = JSON.parse(svg.dataset.chart);
  svg.addEventListener("pointermove", (event) => hover(svg, chart, event));
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
    svg.querySelector(".cursor").setAttribute("visibility", "hidden");
  });
}

// Maps: one class alone, under the pointer or chosen.
const choices = document.querySelector("[data-lights]");
let chosenClass = null;

function light(name) {
  for (const cloud of document.querySelectorAll(".map .cloud")) {
    cloud.classList.toggle("faint", name !== null && cloud.dataset.class !== name);
  }
  for (const choice of choices.querySelectorAll(".choice")) {
    choice.setAttribute("aria-pressed", choice.dataset.class === chosenClass);
  }
}

if (choices) {
  choices.addEventListener("click", (event) => {
    const choice = event.target.closest(".choice");
    if (!choice) return;
    chosenClass = choice.dataset.class === chosenClass ? null : choice.dataset.class;
    light(chosenClass);
  });
  for (const type of ["pointerover", "pointerout"]) {
    document.addEventListener(type, (event) => {
      const cloud = event.target.closest && event.target.closest(".map .cloud");
      if (cloud) light(type === "pointerover" ? cloud.dataset.class : chosenClass);
    });
  }
}
