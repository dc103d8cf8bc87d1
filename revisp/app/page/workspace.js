// A viewer with its sliders, histogram and cards: what both tabs have in common.

import { Controls } from "/page/controls.js";
import { drawHistogram } from "/page/histogram.js";
import { Viewer } from "/page/viewer.js";

export function fillFacts(list, facts) {
  list.replaceChildren(...facts.map(([name, text]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const words = document.createElement("dd");
    term.textContent = name;
    words.textContent = text;
    row.append(term, words);
    return row;
  }));
}

export class Workspace {
  constructor(place, cards, names, sides) {
    const template = (id) => document.getElementById(id).content.cloneNode(true);
    place.replaceChildren(template("workspace"));
    this.root = place.firstElementChild;
    this.part = (name) => this.root.querySelector(`[data-part="${name}"]`);
    this.part("more").replaceWith(template(cards));
    this.viewer = new Viewer(this.part, names, sides);
    this.controls = new Controls(this.part, (settings) => this.viewer.develop(settings));
  }

  show(picture, histograms, names) {
    drawHistogram(this.part("histogram"), histograms, names);
    const shown = this.viewer.show(picture);
    this.controls.begin(picture.develop);
    return shown;
  }
}
