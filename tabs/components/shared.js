// Before each component's script. The script is a function of (element, props, trigger, watch).
const find = selector => element.querySelector(selector);

// One picture of raw bytes, {w, h, c, pixels}, onto a canvas of that size.
function drawRaw(canvas, v) {
  const bytes = atob(v.pixels), image = new ImageData(v.w, v.h), out = image.data;
  for (let i = 0, j = 0; j < out.length; i += v.c) {
    out[j++] = bytes.charCodeAt(i);
    out[j++] = bytes.charCodeAt(v.c > 1 ? i + 1 : i);
    out[j++] = bytes.charCodeAt(v.c > 1 ? i + 2 : i);
    out[j++] = 255;
  }
  if (canvas.width !== v.w || canvas.height !== v.h) { canvas.width = v.w; canvas.height = v.h; }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

// The PNG of a sheet {w, h, n, columns, source}; then() is skipped when a newer value has come meanwhile.
function openSheet(v, current, then) {
  const image = new Image();
  image.onload = () => { if (current()) then(image); };
  image.src = v.source;
}

// Picture number i of a sheet onto a canvas.
function drawCell(canvas, image, v, i) {
  if (canvas.width !== v.w || canvas.height !== v.h) { canvas.width = v.w; canvas.height = v.h; }
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(image, (i % v.columns) * v.w, Math.floor(i / v.columns) * v.h, v.w, v.h, 0, 0, v.w, v.h);
}

function make(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
