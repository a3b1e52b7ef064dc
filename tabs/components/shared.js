// Precedes each component's script. Both together are the body of a function of (element, props, trigger, watch).
const find = selector => element.querySelector(selector);

// Draws one picture of raw bytes, {w, h, c, pixels}, onto a canvas of that size.
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

// Decodes the PNG of a sheet {w, h, n, columns, source}. onOpen is not called if a newer value has arrived meanwhile.
function openSheet(v, isCurrent, onOpen) {
  const image = new Image();
  image.onload = () => { if (isCurrent()) onOpen(image); };
  image.src = v.source;
}

// Draws picture number i of a sheet onto a canvas.
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

function part(svg, tag, attributes, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  svg.append(e);
  return e;
}

// A score as text, with as many digits as the axis from edges[0] to edges.at(-1) needs: the scale of scores is arbitrary.
function signed(score, edges) {
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(edges.at(-1) - edges[0] || 1))));
  const text = score.toFixed(digits);
  return +text > 0 ? '+' + text : +text ? text.replace('-', '\u2212') : '0';
}

// Histograms (shares between edges) of the scores of real and of generated pictures on one axis, 480 x 100.
// marks: [[score, class], ...]; format: a score as text.
function scoreHistogram(svg, {edges, real, generated}, marks, format = signed) {
  const n = edges.length - 1, low = edges[0], span = edges[n] - low || 1, baseline = 80;
  const x = score => 12 + Math.min(1, Math.max(0, (score - low) / span)) * 456;
  const top = Math.max(...real, ...generated, 1e-6);
  svg.replaceChildren();
  for (const [name, shares] of [['generated', generated], ['real', real]]) {
    const line = shares.map((s, i) => `L${x(edges[i])} ${baseline - s / top * 66}H${x(edges[i + 1])}`).join('');
    part(svg, 'path', {class: 'histogram ' + name, d: `M12 ${baseline}${line}V${baseline}Z`});
  }
  part(svg, 'line', {class: 'axis', x1: 12, x2: 468, y1: baseline, y2: baseline});
  for (const score of [low, low + span / 2, edges[n]]) {
    const anchor = score === low ? 'start' : score === edges[n] ? 'end' : 'middle';
    part(svg, 'text', {x: x(score), y: baseline + 17, 'text-anchor': anchor}, format(score, edges));
  }
  for (const [score, name] of marks || []) part(svg, 'line', {class: 'mark ' + name, x1: x(score), x2: x(score), y1: name === 'yours' ? 8 : baseline - 10, y2: baseline + 4});
}
