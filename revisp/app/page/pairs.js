// The second tab: pairs of the user's own, the worst first, with the truth beside the prediction.

import { getJson, postJson } from "/page/api.js";
import { Progress, follow, say } from "/page/progress.js";
import { Workspace, fillFacts } from "/page/workspace.js";

const LAYERS = {
  photo: "Photo", mask: "Overexposed", raw: "Prediction", truth: "Truth", error: "5 × difference",
};
const HISTOGRAMS = { raw: "true RAW", predicted: "prediction", photo: "photo" };
const SCORES = {
  psnr: "PSNR, dB", ssim: "SSIM", psnr_oe: "PSNR, overexposed", psnr_noe: "PSNR, other pixels",
  ssim_oe: "SSIM, overexposed", ssim_noe: "SSIM, other pixels",
};

const select = document.getElementById("pair-select");
const progress = new Progress("pair");
let workspace = null;
let set = null;
let shownIndex = null;

const figure = (value) => (value === null ? "–" : value.toFixed(value < 2 ? 4 : 2));

// List the pairs in the order of their error; the chosen one stays chosen.
function fill(rows) {
  const old = select.value;
  select.replaceChildren(...rows.map((row, place) => {
    const words = `${place + 1} of ${rows.length}: ${row.name}, ${figure(row.scores.psnr)} dB`;
    return new Option(words, row.index, false, String(row.index) === old);
  }));
  document.getElementById("pair-pager").hidden = !rows.length;
  step(0);
}

function step(by) {
  const last = select.options.length - 1;
  const place = Math.min(Math.max(select.selectedIndex + by, 0), last);
  document.getElementById("pair-previous").disabled = place <= 0;
  document.getElementById("pair-next").disabled = place >= last;
  if (by && place !== select.selectedIndex) {
    select.selectedIndex = place;
    present();
  }
}

async function present() {
  const { id } = set;
  const index = select.value;
  step(0);
  if (shownIndex === `${id}/${index}`) return;
  shownIndex = `${id}/${index}`;
  try {
    const pair = await getJson(`/api/pairs/${id}/${index}`);
    if (shownIndex !== `${id}/${index}`) return;
    workspace ??= new Workspace(document.getElementById("pair-place"), "pair-cards", LAYERS, ["raw", "truth"]);
    workspace.viewer.onerror = (error) => say("pair-error", error.message);
    fillFacts(workspace.part("scores"), Object.entries(pair.scores)
      .map(([name, value]) => [SCORES[name] || name, figure(value)]));
    fillFacts(workspace.part("facts"), [["Name", pair.name], ...pair.facts]);
    const { height, width, develop, name } = pair;
    const picture = { address: `/api/pairs/${id}/${index}`, height, width, develop, name };
    await workspace.show(picture, pair.histograms, HISTOGRAMS);
  } catch (error) {
    say("pair-error", error.message);
  }
}

async function open(source, model) {
  say("pair-error", "");
  progress.show("The data set is opened", 0, 0);
  try {
    const opened = await postJson("/api/pairs", { source, model });
    set = opened;
    const found = await follow(`/api/pairs/${opened.id}`, (state) => {
      if (set !== opened) return false;
      fill(state.pairs);
      if (state.pairs.length && shownIndex?.split("/")[0] !== opened.id) present();
      const { finished, total } = state.task;
      progress.show(total ? `${finished} of ${total} pairs are scored` : "The first pair is predicted", finished, total);
      return true;
    });
    if (set !== opened) return;
    if (found.task.error) say("pair-error", found.task.error);
    if (!found.pairs.length && !found.task.error) say("pair-error", "the data set has no validation pairs");
  } catch (error) {
    say("pair-error", error.message);
  }
  progress.hide();
}

export function startPairs() {
  const form = document.getElementById("pair-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    open(form.elements.source.value.trim(), form.elements.model.value.trim());
  });
  select.addEventListener("change", present);
  document.getElementById("pair-previous").addEventListener("click", () => step(-1));
  document.getElementById("pair-next").addEventListener("click", () => step(1));
}
