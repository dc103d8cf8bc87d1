// Light of the photo and of the RAW, both in EV relative to the photo's white.

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, FLOOR] = [320, 130, 104];
const [FROM, TO] = [-8, 5];

function draw(name, attributes, text) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const across = (stops) => ((Math.min(Math.max(stops, FROM), TO) - FROM) / (TO - FROM)) * WIDTH;

function outline(shares, lowest, step, most) {
  const points = [];
  shares.forEach((share, bin) => {
    const from = lowest + bin * step;
    if (from < FROM || from >= TO) return;
    const y = FLOOR - Math.sqrt(share / most) * (FLOOR - 18);
    points.push(`${across(from).toFixed(1)},${y.toFixed(1)}`, `${across(from + step).toFixed(1)},${y.toFixed(1)}`);
  });
  return points.join(" ");
}

// Draw into a figure. `names` maps the histograms to what they are called.
export function drawHistogram(figure, found, names) {
  const { lowest, step, white } = found;
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", "aria-hidden": "true" });
  picture.append(draw("rect", { x: across(0), y: 12, width: WIDTH - across(0), height: FLOOR - 12, class: "above" }));
  const most = Math.max(...Object.keys(names).flatMap((name) => found[name]));
  for (const name of Object.keys(names)) {
    const line = outline(found[name], lowest, step, most);
    picture.append(draw("polyline", { points: name === "raw" ? `0,${FLOOR} ${line} ${WIDTH},${FLOOR}` : line, class: name }));
  }
  for (let stops = FROM; stops <= TO; stops += 1) {
    picture.append(draw("line", { x1: across(stops), x2: across(stops), y1: FLOOR, y2: FLOOR + 4, class: "tick" }));
    if (stops % 2 === 0) {
      const label = stops === 0 ? "0" : `${stops < 0 ? "−" : "+"}${Math.abs(stops)}`;
      picture.append(draw("text", { x: across(stops), y: FLOOR + 17, "text-anchor": stops === FROM ? "start" : "middle" }, label));
    }
  }
  picture.append(draw("line", { x1: across(0), x2: across(0), y1: 12, y2: FLOOR, class: "white" }));
  picture.append(draw("text", { x: across(0) - 4, y: 9, "text-anchor": "end" }, "the photo’s white"));
  if (white < TO) {
    picture.append(draw("line", { x1: across(white), x2: across(white), y1: 12, y2: FLOOR, class: "sensor" }));
  }
  const caption = document.createElement("figcaption");
  const key = document.createElement("p");
  key.className = "key";
  for (const [name, text] of Object.entries(names)) {
    const entry = document.createElement("span");
    entry.className = name;
    entry.textContent = text;
    key.append(entry);
  }
  const share = 100 * found.above;
  const words = document.createElement("p");
  words.textContent = share >= 0.01
    ? `In EV. ${share.toPrecision(2)} % of the RAW’s pixels lie above the photo’s white, up to +${found.most.toFixed(1)} EV. `
      + `The sensor holds up to ${white < 0 ? "−" : "+"}${Math.abs(white).toFixed(1)} EV.`
    : "In EV. No light of the RAW lies above the photo’s white.";
  caption.append(key, words);
  figure.replaceChildren(picture, caption);
}
