// The sliders that develop a RAW.

import { ownTemperature } from "/page/develop.js";

const SLIDERS = [
  { name: "exposure", label: "Exposure", min: -4, max: 2, step: 0.05, start: 0, text: (value) => `${signed(value, 2)} EV` },
  { name: "light", label: "White balance", min: -500, max: -100, step: 2, text: (value) => `${kelvin(value)} K` },
  { name: "tint", label: "Tint", min: -1, max: 1, step: 0.02, start: 0, text: (value) => tint(value) },
  { name: "contrast", label: "Contrast", min: -1, max: 1, step: 0.02, start: 0, text: (value) => signed(100 * value, 0) },
];

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

const kelvin = (mired) => Math.round(-1e6 / mired / 50) * 50;

function tint(value) {
  return value === 0 ? "0" : `${Math.abs(Math.round(100 * value))} ${value < 0 ? "green" : "magenta"}`;
}

export class Controls {
  static count = 0; // both tabs have such sliders; their ids differ

  constructor(part, onchange) {
    this.part = part;
    this.onchange = onchange;
    this.sliders = {};
    for (const slider of SLIDERS) {
      const row = document.createElement("div");
      const text = document.createElement("label");
      text.textContent = slider.label;
      const output = document.createElement("output");
      const input = document.createElement("input");
      Object.assign(input, { type: "range", min: slider.min, max: slider.max, step: slider.step, name: slider.name });
      input.id = text.htmlFor = `${slider.name}-${(Controls.count += 1)}`;
      input.value = slider.start ?? -200;
      input.addEventListener("input", () => this.changed());
      input.addEventListener("dblclick", () => this.reset(slider.name));
      row.append(text, output, input);
      part("sliders").append(row);
      this.sliders[slider.name] = { ...slider, input, output, element: row };
    }
    part("highlights").addEventListener("change", () => this.changed());
    part("reset").addEventListener("click", () => this.reset());
    this.label();
  }

  // Begin with the camera's own white balance.
  begin(camera) {
    const own = ownTemperature(camera);
    const { light } = this.sliders;
    light.element.hidden = own === null;
    const start = own === null ? -200 : Math.round(-1e6 / own / 2) * 2;
    const untouched = light.start === undefined || Number(light.input.value) === light.start;
    light.start = start;
    this.known = own !== null;
    if (untouched) light.input.value = start;
    this.changed();
  }

  reset(name) {
    for (const slider of Object.values(this.sliders)) {
      if (!name || slider.name === name) slider.input.value = slider.start ?? -200;
    }
    if (!name) this.part("highlights").value = "shoulder";
    this.changed();
  }

  get settings() {
    const value = (name) => Number(this.sliders[name].input.value);
    const moved = this.known && value("light") !== this.sliders.light.start;
    return {
      exposure: value("exposure"),
      kelvin: moved ? -1e6 / value("light") : null, // the camera's own gains, exactly, until it is moved
      tint: value("tint"),
      contrast: value("contrast"),
      highlights: this.part("highlights").value,
    };
  }

  label() {
    for (const { input, output, text } of Object.values(this.sliders)) {
      const words = text(Number(input.value));
      output.textContent = words;
      input.setAttribute("aria-valuetext", words);
    }
  }

  changed() {
    this.label();
    this.onchange(this.settings);
  }
}
