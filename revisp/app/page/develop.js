// Develops RAW as revisp.camera.develop does: white balance, matrix, roll-off, sRGB curve; and a contrast on top.

const STEPS = 1 << 17;
const KNEE = 0.7;

function encoded(light) {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

// Bends light above the knee, so that `white` becomes 1 (Reinhard et al. 2002, equation 4).
function shoulder(light, white) {
  if (light <= KNEE) return light;
  const end = (white - KNEE) / (1 - KNEE);
  const above = Math.min((light - KNEE) / (1 - KNEE), end);
  return KNEE + ((1 - KNEE) * above * (1 + above / end ** 2)) / (1 + above);
}

function toneTable(white, contrast) {
  const table = new Uint8ClampedArray(STEPS + 1);
  for (let step = 0; step <= STEPS; step += 1) {
    const value = encoded(Math.min(shoulder((step / STEPS) * white, white), 1));
    table[step] = 255 * (value + contrast * value * (1 - value) * (2 * value - 1));
  }
  return table;
}

// Gains of a light between those that the server knows, found by their mired.
function gainsAt(lights, kelvin) {
  const mired = 1e6 / kelvin;
  let after = lights.findIndex((light) => 1e6 / light.kelvin <= mired);
  if (after < 0) after = lights.length - 1;
  const before = Math.max(after - 1, 0);
  const [low, high] = [1e6 / lights[before].kelvin, 1e6 / lights[after].kelvin];
  const share = before === after ? 0 : (mired - low) / (high - low);
  return lights[before].gains.map((gain, channel) => gain * (lights[after].gains[channel] / gain) ** share);
}

// The temperature whose gains have the ratio of red to blue that the camera's own have.
export function ownTemperature(camera) {
  if (!camera.lights.length) return null;
  const wanted = Math.log(camera.gains[0] / camera.gains[2]);
  let best = camera.lights[0].kelvin;
  let least = Infinity;
  for (let mired = 100; mired <= 500; mired += 1) {
    const [red, , blue] = gainsAt(camera.lights, 1e6 / mired);
    const distance = Math.abs(Math.log(red / blue) - wanted);
    if (distance < least) [least, best] = [distance, 1e6 / mired];
  }
  return best;
}

function balanceGains(camera, settings) {
  let gains = [...camera.gains];
  if (settings.kelvin && camera.lights.length) {
    const own = gainsAt(camera.lights, ownTemperature(camera));
    const asked = gainsAt(camera.lights, settings.kelvin);
    gains = gains.map((gain, channel) => (gain * asked[channel]) / own[channel]);
  }
  gains[1] *= 2 ** (-settings.tint / 2);
  const least = Math.min(...gains);
  return gains.map((gain) => gain / least);
}

let known = { white: 0, contrast: NaN, table: null };

// Returns a function from RAW (Uint16Array R, G, B, ...) to the pixels of an ImageData.
export function developer(camera, settings) {
  const stops = camera.exposure + settings.exposure;
  const soft = settings.highlights === "shoulder";
  const white = soft ? Math.max(2 ** stops, 1) : 1;
  if (known.white !== white || known.contrast !== settings.contrast) {
    known = { white, contrast: settings.contrast, table: toneTable(white, settings.contrast) };
  }
  const table = known.table;
  const early = (soft ? 1 : 2 ** stops) / 65535;
  const [red, green, blue] = balanceGains(camera, settings).map((gain) => gain * early);
  const late = ((soft ? 2 ** stops : 1) * STEPS) / white;
  const [a, b, c, d, e, f, g, h, i] = camera.matrix.flat().map((value) => value * late);
  return (raw, pixels) => {
    for (let from = 0, to = 0; from < raw.length; from += 3, to += 4) {
      let x = raw[from] * red;
      let y = raw[from + 1] * green;
      let z = raw[from + 2] * blue;
      x = x > 1 ? 1 : x;
      y = y > 1 ? 1 : y;
      z = z > 1 ? 1 : z;
      const r = a * x + b * y + c * z + 0.5;
      const s = d * x + e * y + f * z + 0.5;
      const t = g * x + h * y + i * z + 0.5;
      pixels[to] = table[r < 0 ? 0 : r > STEPS ? STEPS : r | 0];
      pixels[to + 1] = table[s < 0 ? 0 : s > STEPS ? STEPS : s | 0];
      pixels[to + 2] = table[t < 0 ? 0 : t > STEPS ? STEPS : t | 0];
      pixels[to + 3] = 255;
    }
  };
}
