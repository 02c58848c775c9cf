"use strict";
const SHOWN = 8; // classes that are not present are shown up to so many bars in all
const byId = (id) => document.getElementById(id);
const results = byId("results"), status = byId("status"), tools = byId("tools"), picker = byId("files");
const answers = []; // of the server, one for each card, for the download
let model = null, busy = 0;

const percent = (score) => `${(100 * score).toFixed(1)} %`;
const say = (text) => { status.textContent = text; };

// What the server says is wrong, or what the browser says where there is no answer.
async function reason(response) {
  const text = await response.text();
  try { return JSON.parse(text).error || `status ${response.status}`; } catch { return `status ${response.status}`; }
}

async function describe() {
  const response = await fetch("classes");
  if (!response.ok) throw new Error(await reason(response));
  model = await response.json();
  byId("model").textContent = model.model;
  document.title = `${model.model} · mlic`;
  const most = model.at_most === null ? "" : ` · at most ${model.at_most} an image`;
  byId("facts").textContent = `${model.classes.length} classes${most} · ${model.image_size} pixels · ${model.engine}`;
}

function addBars(list, prediction) {
  list.replaceChildren();
  const present = new Set(prediction.labels);
  const thresholds = Object.fromEntries(model.classes.map((one) => [one.name, one.threshold]));
  const names = Object.keys(prediction.scores).sort((a, b) =>
    present.has(b) - present.has(a) || prediction.scores[b] - prediction.scores[a]);
  const count = byId("all").checked ? names.length : Math.max(SHOWN, present.size);
  for (const name of names.slice(0, count)) {
    const bar = byId("bar").content.cloneNode(true).firstElementChild;
    const score = prediction.scores[name], there = present.has(name);
    bar.classList.toggle("there", there);
    bar.querySelector(".name").textContent = name;
    bar.querySelector(".mark").textContent = there ? "present" : "";
    bar.querySelector(".number").textContent = percent(score);
    bar.querySelector(".number").title = `threshold ${percent(thresholds[name])}`;
    bar.querySelector(".reached").textContent = `, threshold ${percent(thresholds[name])}`;
    bar.querySelector(".fill").style.width = `${100 * score}%`;
    bar.querySelector(".threshold").style.left = `${100 * Math.min(1, thresholds[name])}%`;
    list.append(bar);
  }
}

function addHeat(card, file, prediction) {
  const toggle = card.querySelector(".heattoggle"), choice = card.querySelector(".heatclass");
  const heat = card.querySelector(".heat"), shown = new Map();
  const names = Object.keys(prediction.scores).sort((a, b) => prediction.scores[b] - prediction.scores[a]);
  for (const name of names) choice.append(new Option(name, name));
  toggle.setAttribute("aria-label", `heat map of ${file.name}`);
  choice.setAttribute("aria-label", `class of the heat map of ${file.name}`);
  card.querySelector(".heatline").hidden = false;
  const draw = async () => {
    heat.hidden = true;
    const name = choice.value;
    if (!toggle.checked) return;
    if (!shown.has(name)) {
      const form = new FormData();
      form.append("images", file, file.name);
      say(`Drawing the heat map of ${name} …`);
      try {
        const response = await fetch(`explain?class=${encodeURIComponent(name)}`, { method: "POST", body: form });
        if (!response.ok) throw new Error(await reason(response));
        shown.set(name, URL.createObjectURL(await response.blob()));
      } catch (error) {
        toggle.checked = false;
        say(`No heat map: ${error.message}`);
        return;
      }
    }
    if (!toggle.checked || choice.value !== name) return;
    heat.src = shown.get(name);
    heat.alt = `Where ${file.name} shows ${name}`;
    heat.hidden = false;
    say(`Heat map of ${name}.`);
  };
  toggle.addEventListener("change", draw);
  choice.addEventListener("change", draw);
}

function addCard(file, prediction) {
  const card = byId("card").content.cloneNode(true).firstElementChild;
  const picture = card.querySelector(".picture img");
  card.querySelector("h2").textContent = prediction.name;
  picture.alt = prediction.name;
  if (prediction.error) {
    card.classList.add("failed");
    card.querySelector(".picture").hidden = true;
    card.querySelector(".summary").textContent = `Cannot be read: ${prediction.error}`;
  } else {
    // A browser that does not show such files (TIFF) shows the heat map alone, which has the image below it.
    picture.addEventListener("error", () => { picture.hidden = true; card.classList.add("alone"); });
    picture.src = URL.createObjectURL(file);
    card.querySelector(".summary").textContent = prediction.labels.length ? prediction.labels.join(", ") : "no class is present";
    addBars(card.querySelector(".bars"), prediction);
    if (model.explains) addHeat(card, file, prediction);
  }
  results.append(card);
  answers.push({ card, prediction });
}

// As many images a request as the server takes, in number and in size.
function lots(files) {
  const found = [];
  let lot = [], size = 0;
  for (const file of files) {
    const full = lot.length && (lot.length >= Math.min(16, model.limits.images) || size + file.size > 0.9 * model.limits.body_bytes);
    if (full) { found.push(lot); lot = []; size = 0; }
    lot.push(file);
    size += file.size;
  }
  if (lot.length) found.push(lot);
  return found;
}

async function ask(lot) {
  const form = new FormData();
  for (const file of lot) form.append("images", file, file.name);
  for (let attempt = 0; ; attempt++) {
    const response = await fetch("predict", { method: "POST", body: form, headers: { Prefer: "handling=lenient" } });
    if (response.status === 429 && attempt < 20) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    if (response.ok || response.status === 422) return (await response.json()).predictions;
    throw new Error(await reason(response));
  }
}

async function label(files) {
  if (!files.length) return;
  busy++;
  results.setAttribute("aria-busy", "true");
  let done = 0, failed = 0;
  const told = [];
  try {
    if (!model) await describe();
    say(`Labelling ${files.length === 1 ? files[0].name : `${files.length} images`} …`);
    for (const lot of lots(files)) {
      let predictions;
      try {
        predictions = await ask(lot);
      } catch (error) {
        predictions = lot.map((file) => ({ name: file.name, labels: [], scores: {}, error: error.message }));
      }
      predictions.forEach((prediction, place) => {
        addCard(lot[place], prediction);
        if (prediction.error) failed++; else done++;
        if (files.length === 1) told.push(prediction.error ? `Cannot be read: ${prediction.error}` : prediction.labels.join(", ") || "no class is present");
      });
    }
    const count = (number) => (number === 1 ? "1 image" : `${number} images`);
    say(files.length === 1 ? `${files[0].name}: ${told[0]}` : `${count(done)} labelled${failed ? `, ${count(failed)} could not be read` : ""}.`);
  } catch (error) {
    say(`The server does not answer: ${error.message}`);
  } finally {
    busy--;
    if (!busy) results.removeAttribute("aria-busy");
    tools.hidden = !answers.length;
  }
}

picker.addEventListener("change", () => { label([...picker.files]); picker.value = ""; });

const drop = byId("drop");
document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  label([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => { label([...event.clipboardData.files]); });

byId("all").addEventListener("change", () => {
  for (const { card, prediction } of answers) if (!prediction.error) addBars(card.querySelector(".bars"), prediction);
});

byId("clear").addEventListener("click", () => {
  for (const image of results.querySelectorAll("img")) if (image.src) URL.revokeObjectURL(image.src);
  results.replaceChildren();
  answers.length = 0;
  tools.hidden = true;
  say("Cleared.");
  picker.focus();
});

byId("download").addEventListener("click", () => {
  const said = {
    model: model.model,
    thresholds: Object.fromEntries(model.classes.map((one) => [one.name, one.threshold])),
    at_most: model.at_most,
    predictions: answers.map((one) => one.prediction),
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(said, null, 2)], { type: "application/json" }));
  link.download = "labels.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

describe().catch((error) => say(`The server does not answer: ${error.message}`));
