// The mask has the picture's own resolution: what the visitor sees is what is sent.
const canvas = find('canvas'), c = canvas.getContext('2d'), small = make('canvas'), SIDE = canvas.width;
let v = null, mask = new Uint8Array(0), brush = null, painting = false, keyboard = false;

function draw() {
  c.imageSmoothingEnabled = false;
  c.fillStyle = '#000';
  c.fillRect(0, 0, SIDE, SIDE);
  if (!v) return;
  c.drawImage(small, 0, 0, SIDE, SIDE);
  c.fillStyle = 'rgba(255, 64, 150, .75)';
  const cell = SIDE / v.w;
  mask.forEach((painted, i) => { if (painted) c.fillRect(i % v.w * cell, Math.floor(i / v.w) * cell, cell, cell); });
  if (keyboard && brush) {
    c.strokeStyle = '#fff'; c.lineWidth = 3;
    c.beginPath(); c.arc(brush[0] * cell, brush[1] * cell, v.w / 10 * cell, 0, 7); c.stroke();
  }
}
function stamp(x, y) {
  const r = v.w / 10;
  for (let j = 0; j < v.h; j++) for (let i = 0; i < v.w; i++) if (Math.hypot(i + .5 - x, j + .5 - y) < r) mask[j * v.w + i] = 1;
}
function paint(x, y) {  // a line from the brush's last position
  const from = brush || [x, y], n = Math.ceil(Math.hypot(x - from[0], y - from[1])) || 1;
  for (let k = 1; k <= n; k++) stamp(from[0] + (x - from[0]) * k / n, from[1] + (y - from[1]) * k / n);
  brush = [x, y];
  draw();
}
function send() {
  if (!v) return;
  draw();
  props.value = {...v, mask: encode(mask)};
  trigger('input');
}
function fill(firstRow) { if (v) { mask.fill(0); if (firstRow !== undefined) mask.fill(1, firstRow * v.w); send(); } }
function begin() { keyboard = false; brush = null; return v; }
onStroke(canvas, begin, (x, y) => paint(x * v.w, y * v.h), send);
canvas.addEventListener('keydown', e => {
  const step = ARROWS[e.key];
  if (!v || !step && e.key !== ' ' && e.key !== 'Delete') return;
  e.preventDefault();
  keyboard = true; brush = brush || [v.w / 2, v.h / 2];
  if (e.key === 'Delete') return fill();
  if (e.key === ' ') { painting = !painting; if (painting) paint(...brush); else send(); return; }
  const to = [0, 1].map(k => Math.min(v.w, Math.max(0, brush[k] + step[k] * v.w / 28)));
  if (painting) paint(...to); else { brush = to; draw(); }
});
canvas.addEventListener('blur', () => { keyboard = false; if (painting) { painting = false; send(); } draw(); });
find('.clear').addEventListener('click', () => fill());
find('.half').addEventListener('click', () => fill(Math.ceil(v ? v.h / 2 : 0)));

/** @param {Raw & {mask: string}} picture  mask: base64 of a byte per pixel */
function load(picture) {
  v = picture && picture.pixels ? picture : null;
  if (v) {
    drawRaw([small], v);
    mask = decode(v.mask);
    if (mask.length !== v.w * v.h) mask = new Uint8Array(v.w * v.h);
  }
  draw();
}
onValue(load);
