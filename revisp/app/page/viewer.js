// Two layers of a picture under a divider, at any zoom. The server sends windows at the size of the screen; the
// browser develops them, so that sliders act at once.

import { getWindow } from "/page/api.js";
import { developer } from "/page/develop.js";

const ERROR_FACTOR = 5;
const MOST_ZOOM = 32;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NEEDS = { photo: ["photo"], mask: ["photo"], raw: ["raw"], truth: ["truth"], error: ["raw", "truth"] };

// A window of the picture: its data by layer, and what was drawn of them.
class Shown {
  constructor(window) {
    this.window = window;
    this.data = {};
    this.drawn = {};
  }

  // The canvas of a layer; `look` numbers the settings that RAW is developed by.
  canvas(name, look, develop) {
    if (NEEDS[name].some((layer) => !this.data[layer])) return null;
    const version = name === "photo" || name === "mask" ? 0 : look;
    const old = this.drawn[name];
    if (old && old.version === version) return old.canvas;
    const canvas = old ? old.canvas : document.createElement("canvas");
    canvas.width = this.window.columns;
    canvas.height = this.window.rows;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    this.paint(name, image.data, develop);
    context.putImageData(image, 0, 0);
    this.drawn[name] = { canvas, version };
    return canvas;
  }

  paint(name, pixels, develop) {
    const { photo, raw, truth } = this.data;
    if (name === "photo" || name === "mask") {
      for (let at = 0; at < photo.length; at += 4) {
        const share = photo[at + 3];
        for (let channel = 0; channel < 3; channel += 1) {
          pixels[at + channel] = name === "mask" ? share : photo[at + channel];
        }
        pixels[at + 3] = 255;
      }
    } else if (name === "error") {
      const other = new Uint8ClampedArray(pixels.length);
      develop(raw, pixels);
      develop(truth, other);
      for (let at = 0; at < pixels.length; at += 1) {
        pixels[at] = at % 4 === 3 ? 255 : ERROR_FACTOR * Math.abs(pixels[at] - other[at]);
      }
    } else {
      develop(this.data[name], pixels);
    }
  }

  // Overexposed pixels in a colour that photos seldom have.
  marks() {
    if (!this.data.photo) return null;
    if (!this.drawn.marks) {
      const canvas = document.createElement("canvas");
      canvas.width = this.window.columns;
      canvas.height = this.window.rows;
      const context = canvas.getContext("2d");
      const image = context.createImageData(canvas.width, canvas.height);
      const { photo } = this.data;
      for (let at = 0; at < photo.length; at += 4) {
        image.data[at] = 255;
        image.data[at + 2] = 200;
        image.data[at + 3] = photo[at + 3] * 0.75;
      }
      context.putImageData(image, 0, 0);
      this.drawn.marks = { canvas };
    }
    return this.drawn.marks.canvas;
  }
}

export class Viewer {
  constructor(part, names, [left, right]) {
    this.part = part;
    this.names = names;
    this.stage = part("stage");
    this.canvas = part("canvas");
    this.look = 1;
    this.settings = { exposure: 0, kelvin: null, tint: 0, contrast: 0, highlights: "shoulder" };
    this.picture = null;
    for (const [name, first] of [["left", left], ["right", right]]) {
      for (const [value, text] of Object.entries(names)) part(name).append(new Option(text, value, false, value === first));
      part(name).addEventListener("change", () => this.fetch());
    }
    part("wipe").addEventListener("input", () => this.redraw());
    part("mask").addEventListener("change", () => this.fetch());
    this.stage.closest(".viewer").addEventListener("click", (event) => {
      const { zoom } = event.target.dataset;
      if (zoom) this.zoomBy({ in: 2, out: 0.5 }[zoom] || zoom);
    });
    this.listenToKeys();
    this.listenToPointers();
    new ResizeObserver(() => this.resized()).observe(this.stage);
  }

  // Show a picture: { address, width, height, develop, name }.
  show(picture) {
    const same = this.picture && this.picture.width === picture.width && this.picture.height === picture.height
      && this.picture.name === picture.name;
    this.picture = picture;
    this.whole = this.detail = null;
    this.look += 1;
    this.stage.style.setProperty("--shape", `${picture.width} / ${picture.height}`);
    this.canvas.setAttribute("aria-label", `${picture.name}, ${this.part("left").selectedOptions[0].text} and `
      + `${this.part("right").selectedOptions[0].text}`);
    if (!same) this.zoomBy("fit");
    return this.fetch();
  }

  develop(settings) {
    this.settings = settings;
    this.look += 1;
    this.redraw();
  }

  get fit() {
    const { width, height } = this.picture;
    return Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
  }

  get density() {
    return window.devicePixelRatio || 1;
  }

  // Rectangle of the picture that can be seen.
  visible() {
    const { width, height } = this.picture;
    const [wide, high] = [this.stage.clientWidth / this.zoom, this.stage.clientHeight / this.zoom];
    const left = Math.max(0, Math.floor(this.x - wide / 2));
    const top = Math.max(0, Math.floor(this.y - high / 2));
    return {
      left,
      top,
      width: Math.max(1, Math.min(width, Math.ceil(this.x + wide / 2)) - left),
      height: Math.max(1, Math.min(height, Math.ceil(this.y + high / 2)) - top),
    };
  }

  zoomBy(factor, at) {
    if (!this.picture) return;
    const { width, height } = this.picture;
    const pixels = 1 / this.density;
    const old = this.zoom || this.fit;
    let zoom = factor === "fit" ? this.fit : factor === "pixels" ? pixels : old * factor;
    zoom = Math.min(Math.max(zoom, this.fit), Math.max(MOST_ZOOM * pixels, this.fit));
    const x = this.x ?? width / 2;
    const y = this.y ?? height / 2;
    const [dx, dy] = at ? [at[0] - this.stage.clientWidth / 2, at[1] - this.stage.clientHeight / 2] : [0, 0];
    this.zoom = zoom;
    this.moveTo(x + dx / old - dx / zoom, y + dy / old - dy / zoom);
  }

  moveTo(x, y) {
    const { width, height } = this.picture;
    const [wide, high] = [this.stage.clientWidth / this.zoom / 2, this.stage.clientHeight / this.zoom / 2];
    this.x = wide * 2 >= width ? width / 2 : Math.min(Math.max(x, wide), width - wide);
    this.y = high * 2 >= height ? height / 2 : Math.min(Math.max(y, high), height - high);
    const zoomed = this.zoom > this.fit * 1.001;
    this.stage.classList.toggle("zoomed", zoomed);
    const percent = 100 * this.zoom * this.density;
    this.part("scale").textContent = `${percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
    this.redraw();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.fetch(), 120);
  }

  resized() {
    if (!this.picture || !this.stage.clientWidth) return;
    const was = this.stage.classList.contains("zoomed");
    this.zoomBy(was ? 1 : "fit");
  }

  // Layers that are looked at.
  get needed() {
    const layers = [this.part("left").value, this.part("right").value].flatMap((name) => NEEDS[name]);
    return new Set(this.part("mask").checked ? [...layers, "photo"] : layers);
  }

  async fetch() {
    if (!this.picture || !this.stage.clientWidth) return;
    const { picture } = this;
    const scale = this.zoom * this.density;
    const zoomed = this.stage.classList.contains("zoomed");
    const rectangle = zoomed ? this.visible() : { left: 0, top: 0, width: picture.width, height: picture.height };
    const size = (length) => Math.max(1, Math.min(length, Math.round(length * scale)));
    const asked = { ...rectangle, rows: size(rectangle.height), columns: size(rectangle.width) };
    const slot = zoomed ? "detail" : "whole";
    const same = this[slot] && JSON.stringify(this[slot].window) === JSON.stringify(asked);
    const shown = same ? this[slot] : new Shown(asked);
    const missing = [...this.needed].filter((layer) => !shown.data[layer]);
    if (this.asking) this.asking.abort();
    const { signal } = (this.asking = new AbortController());
    this.stage.setAttribute("aria-busy", "true");
    try {
      const found = await Promise.all(missing.map((layer) => getWindow(picture.address, layer, asked, signal)));
      missing.forEach((layer, index) => { shown.data[layer] = found[index]; });
    } catch (error) {
      if (error.name !== "AbortError") this.onerror?.(error);
      return;
    }
    if (this.picture !== picture) return;
    this[slot] = shown;
    if (!zoomed) this.detail = null;
    this.stage.setAttribute("aria-busy", "false");
    this.draw();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    if (!this.picture || !this.stage.clientWidth) return;
    const { clientWidth: width, clientHeight: height } = this.stage;
    const density = this.density;
    if (this.canvas.width !== Math.round(width * density) || this.canvas.height !== Math.round(height * density)) {
      this.canvas.width = Math.round(width * density);
      this.canvas.height = Math.round(height * density);
    }
    const context = this.canvas.getContext("2d");
    const wipe = (this.part("wipe").value / 100) * width;
    this.stage.style.setProperty("--wipe", `${wipe}px`);
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    const sides = [["left", 0, wipe], ["right", wipe, width]];
    for (const [side, from, to] of sides) {
      this.part(`${side}-name`).textContent = this.names[this.part(side).value];
      if (to <= from) continue;
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, height);
      context.clip();
      this.drawLayer(context, this.part(side).value);
      context.restore();
    }
    this.part("wipe").setAttribute("aria-valuetext", `${Math.round(this.part("wipe").value)} % `
      + `${this.names[this.part("left").value]}, the rest ${this.names[this.part("right").value]}`);
    this.ondraw?.();
  }

  drawLayer(context, name) {
    const develop = developer(this.picture.develop, this.settings);
    const covering = this.detail && this.covers(this.detail) ? [this.detail] : [this.whole, this.detail];
    for (const shown of covering) {
      if (!shown) continue;
      const drawn = [shown.canvas(name, this.look, develop)];
      if (this.part("mask").checked && name !== "mask") drawn.push(shown.marks());
      for (const canvas of drawn) {
        if (!canvas) continue;
        const { left, top, width, height } = shown.window;
        context.imageSmoothingEnabled = this.zoom * this.density < 2;
        context.drawImage(
          canvas,
          (left - this.x) * this.zoom + this.stage.clientWidth / 2,
          (top - this.y) * this.zoom + this.stage.clientHeight / 2,
          width * this.zoom,
          height * this.zoom,
        );
      }
    }
  }

  covers(shown) {
    const seen = this.visible();
    const { left, top, width, height } = shown.window;
    const inside = seen.left >= left && seen.top >= top;
    return inside && seen.left + seen.width <= left + width && seen.top + seen.height <= top + height;
  }

  listenToKeys() {
    this.stage.addEventListener("keydown", (event) => {
      if (event.target !== this.stage || !this.picture || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = KEYS[event.key];
      const zoom = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: "fit", 1: "pixels" }[event.key];
      if (step) this.moveTo(this.x + (60 * step[0]) / this.zoom, this.y + (60 * step[1]) / this.zoom);
      else if (zoom) this.zoomBy(zoom);
      else return;
      event.preventDefault();
    });
  }

  listenToPointers() {
    const held = new Map();
    const place = (event) => {
      const box = this.stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const distance = () => {
      const [[ax, ay], [bx, by]] = [...held.values()];
      return Math.hypot(ax - bx, ay - by);
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.target === this.part("wipe") || !this.picture) return;
      this.stage.setPointerCapture(event.pointerId);
      held.set(event.pointerId, place(event));
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!held.has(event.pointerId)) return;
      const [x, y] = place(event);
      const [oldX, oldY] = held.get(event.pointerId);
      const before = held.size === 2 ? distance() : 0;
      held.set(event.pointerId, [x, y]);
      if (held.size === 2) {
        const [[ax, ay], [bx, by]] = [...held.values()];
        this.zoomBy(distance() / Math.max(before, 1), [(ax + bx) / 2, (ay + by) / 2]);
      } else if (this.stage.classList.contains("zoomed")) {
        this.moveTo(this.x - (x - oldX) / this.zoom, this.y - (y - oldY) / this.zoom);
      } else {
        this.part("wipe").value = (100 * x) / this.stage.clientWidth;
        this.redraw();
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(name, (event) => held.delete(event.pointerId));
    }
    this.stage.addEventListener("dblclick", (event) => {
      if (event.target === this.part("wipe")) return;
      if (this.stage.classList.contains("zoomed")) this.zoomBy("fit");
      else this.zoomBy(1 / this.density / this.zoom, place(event));
    });
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 200), place(event));
    }, { passive: false });
  }
}
