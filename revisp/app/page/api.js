// Requests to the server of this page, and to no other.

export class ServerError extends Error {}

async function answered(response) {
  if (response.ok) return response;
  const known = await response.json().catch(() => ({}));
  throw new ServerError(known.error || `the server answered ${response.status}`);
}

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("revisp-app does not answer: start it again");
  }
  return answered(response);
}

export async function getJson(address) {
  return (await ask(address)).json();
}

export async function postJson(address, values) {
  return (await ask(address, { method: "POST", body: JSON.stringify(values) })).json();
}

// A file that the server sends, with its name.
async function fileOf(response) {
  const stated = response.headers.get("content-disposition") || "";
  const coded = /filename\*=utf-8''([^;]+)/i.exec(stated);
  const plain = /filename="([^"]+)"/.exec(stated);
  const name = coded ? decodeURIComponent(coded[1]) : plain ? plain[1] : "photo";
  return { blob: await response.blob(), name };
}

export async function getFile(address) {
  return fileOf(await ask(address));
}

export async function postForFile(address, values) {
  return fileOf(await ask(address, { method: "POST", body: JSON.stringify(values) }));
}

export async function remove(address) {
  await ask(address, { method: "DELETE" });
}

// Send a file, and tell how much of it has been sent.
export function upload(file, wish, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ name: file.name, wish: JSON.stringify(wish) });
    request.open("POST", `/api/photos?${query}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => onprogress(event.loaded, event.total);
    request.onload = () => {
      const known = request.response || {};
      if (request.status === 200) resolve(known);
      else reject(new ServerError(known.error || `the server answered ${request.status}`));
    };
    request.onerror = () => reject(new ServerError(`${file.name}: the upload broke off: try again`));
    request.send(file);
  });
}

// One window of a layer: bytes R, G, B, mask of a photo; 16-bit R, G, B of a RAW.
export async function getWindow(address, layer, window, signal) {
  const response = await ask(`${address}/layers/${layer}?${new URLSearchParams(window)}`, { signal });
  const bytes = await response.arrayBuffer();
  return layer === "photo" ? new Uint8ClampedArray(bytes) : new Uint16Array(bytes);
}
