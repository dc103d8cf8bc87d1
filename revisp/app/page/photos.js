// The first tab: photos, one after the other.

import { getFile, getJson, postForFile, postJson, remove, upload } from "/page/api.js";
import { Progress, follow, say } from "/page/progress.js";
import { Workspace, fillFacts } from "/page/workspace.js";

const LAYERS = { photo: "Photo", mask: "Overexposed", raw: "RAW, developed" };
const HISTOGRAMS = { photo: "photo", raw: "RAW" };

const list = document.getElementById("photo-list");
const progress = new Progress("photo");
let workspace = null;
let chosen = null;
const photos = new Map();

function wishOf(form) {
  const values = new FormData(form);
  const headroom = values.get("headroom");
  return {
    model: values.get("model").trim() || "default",
    camera: values.get("camera").trim(),
    headroom: headroom === "" ? null : Number(headroom),
    gain_map: values.has("gain_map"),
    linear: values.has("linear"),
  };
}

function entry(photo) {
  const row = document.createElement("li");
  const open = document.createElement("button");
  open.type = "button";
  open.className = "photo";
  open.textContent = photo.name;
  open.addEventListener("click", () => choose(photo.id));
  const drop = document.createElement("button");
  drop.type = "button";
  drop.className = "remove";
  drop.textContent = "×";
  drop.setAttribute("aria-label", `Remove ${photo.name}`);
  drop.addEventListener("click", () => forget(photo.id));
  row.append(open, drop);
  list.append(row);
  return row;
}

function mark() {
  for (const [id, { row, found }] of photos) {
    row.firstChild.setAttribute("aria-current", String(id === chosen));
    row.dataset.state = found.task.state;
  }
}

async function forget(id) {
  photos.get(id).row.remove();
  photos.delete(id);
  await remove(`/api/photos/${id}`).catch(() => {});
  if (chosen !== id) return;
  const next = [...photos.keys()].pop();
  if (next) choose(next);
  else {
    chosen = null;
    progress.hide();
    document.getElementById("photo-place").hidden = true;
    document.getElementById("choose").focus();
    document.getElementById("drop").classList.remove("small");
  }
}

function start() {
  if (workspace) return;
  workspace = new Workspace(document.getElementById("photo-place"), "photo-cards", LAYERS, ["photo", "raw"]);
  workspace.viewer.onerror = (error) => say("photo-error", error.message);
  const download = workspace.part("download");
  const options = () => {
    const ending = download.elements.ending.value;
    download.querySelectorAll("[data-for]").forEach((part) => { part.hidden = part.dataset.for !== ending; });
    download.querySelector("button").textContent = `Download ${ending.slice(1).toUpperCase()}`;
  };
  download.addEventListener("change", options);
  download.addEventListener("submit", (event) => {
    event.preventDefault();
    save(download);
  });
  options();
  const wish = workspace.part("wish");
  wish.addEventListener("submit", (event) => {
    event.preventDefault();
    again(wishOf(wish));
  });
}

async function save(form) {
  const status = workspace.part("download-status");
  const values = new FormData(form);
  status.textContent = "Writing …";
  try {
    const file = await postForFile(`/api/photos/${chosen}/raw`, {
      ending: values.get("ending"),
      bits: Number(values.get("bits")),
      compression: values.get("compression"),
      plain_dng: values.has("plain_dng"),
      strip_location: values.has("strip_location"),
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file.blob);
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    status.textContent = `${file.name}: ${(file.blob.size / 1e6).toFixed(1)} MB`;
  } catch (error) {
    status.textContent = error.message;
  }
}

async function again(wish) {
  const id = chosen;
  say("photo-error", "");
  try {
    photos.get(id).found = await postJson(`/api/photos/${id}/predict`, wish);
  } catch (error) {
    say("photo-error", error.message);
    return;
  }
  await choose(id);
}

// Show a photo, as soon as it is predicted.
async function choose(id) {
  chosen = id;
  say("photo-error", "");
  mark();
  let found;
  try {
    found = await follow(`/api/photos/${id}`, (state) => {
      if (!photos.has(id)) return false;
      photos.get(id).found = state;
      mark();
      if (chosen !== id) return false;
      const { finished, total, state: kind } = state.task;
      const words = { waiting: "waits", working: total ? "is predicted" : "is read", done: "", failed: "" }[kind];
      if (words) progress.show(`${state.name} ${words}`, finished, total);
      return true;
    });
  } catch (error) {
    progress.hide();
    say("photo-error", error.message);
    return;
  }
  if (chosen !== id) return;
  progress.hide();
  if (found.task.state === "failed") {
    say("photo-error", found.task.error);
    if (workspace) document.getElementById("photo-place").classList.add("stale");
    else document.getElementById("drop").classList.remove("small");
    return;
  }
  await present(found);
}

async function present(found) {
  start();
  const place = document.getElementById("photo-place");
  place.hidden = false;
  place.classList.remove("stale");
  const { predicted, id, name } = found;
  const { height, width, develop, histograms, wish } = predicted;
  const form = workspace.part("wish");
  form.elements.model.value = wish.model;
  form.elements.camera.value = wish.camera;
  form.elements.headroom.value = wish.headroom ?? "";
  form.elements.gain_map.checked = wish.gain_map;
  form.elements.linear.checked = wish.linear;
  workspace.part("download-status").textContent = "";
  fillFacts(workspace.part("declared"), [...predicted.declared, ...predicted.notes.map((note) => ["Note", note])]);
  fillFacts(workspace.part("assumed"), predicted.assumed);
  await workspace.show({ address: `/api/photos/${id}`, height, width, develop, name }, histograms, HISTOGRAMS);
  say("photo-status", `${name}: the RAW is ready`);
}

async function take(files) {
  say("photo-error", "");
  document.getElementById("drop").classList.add("small");
  const wish = workspace ? wishOf(workspace.part("wish")) : {};
  for (const file of files) {
    try {
      progress.show(`${file.name} is sent`, 0, 0);
      const found = await upload(file, wish, (done, total) => progress.show(`${file.name} is sent`, done, total));
      photos.set(found.id, { found, row: entry(found) });
      choose(found.id);
    } catch (error) {
      progress.hide();
      say("photo-error", error.message);
    }
  }
}

export async function startPhotos() {
  const input = document.getElementById("choose");
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  document.getElementById("example").addEventListener("click", async () => {
    try {
      const { blob, name } = await getFile("/api/example");
      take([new File([blob], name)]);
    } catch (error) {
      say("photo-error", error.message);
    }
  });
  const page = document.documentElement;
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    page.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      page.classList.toggle("dragging", name === "dragenter" || name === "dragover");
      if (name === "drop") take([...event.dataTransfer.files]);
    });
  }
  const offer = await getJson("/api/offer");
  for (const [id, values] of [["models", offer.models], ["models-of-run", offer.models], ["cameras", offer.cameras],
    ["sources", [...offer.sources, "embedded"]]]) {
    document.getElementById(id).append(...values.map((value) => new Option(value, value)));
  }
}
