// A bar, and messages in one sentence.

import { getJson } from "/page/api.js";

export class Progress {
  constructor(name) {
    this.box = document.getElementById(`${name}-progress`);
    this.bar = document.getElementById(`${name}-bar`);
    this.words = document.getElementById(`${name}-progress-text`);
  }

  show(text, done, total) {
    this.box.hidden = false;
    this.words.textContent = text;
    if (total) Object.assign(this.bar, { max: total, value: done });
    else this.bar.removeAttribute("value");
  }

  hide() {
    this.box.hidden = true;
  }
}

export function say(id, text) {
  const place = document.getElementById(id);
  place.textContent = text;
  if (id.endsWith("-error")) place.hidden = !text;
}

const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

// Ask for a task until it is done or has failed; `each` sees every answer, and ends the asking by returning false.
export async function follow(address, each) {
  for (;;) {
    const found = await getJson(address);
    if (each(found) === false || ["done", "failed"].includes(found.task.state)) return found;
    await pause(200);
  }
}
