// Painted at the picture's own size: what is seen is what is sent.
const canvas = find('canvas'), c = canvas.getContext('2d'), small = make('canvas'), SIDE = 336;
let v = null, mask = new Uint8Array(0), at = null, down = false, painting = false, key = false;

function draw() {
  c.imageSmoothingEnabled = false;
  c.fillStyle = '#000';
  c.fillRect(0, 0, SIDE, SIDE);
  if (!v) return;
  c.drawImage(small, 0, 0, SIDE, SIDE);
  c.fillStyle = 'rgba(255, 64, 150, .75)';
  const cell = SIDE / v.w;
  mask.forEach((on, i) => { if (on) c.fillRect(i % v.w * cell, Math.floor(i / v.w) * cell, cell, cell); });
  if (key && at) {
    c.strokeStyle = '#fff'; c.lineWidth = 3;
    c.beginPath(); c.arc(at[0] * cell, at[1] * cell, v.w / 10 * cell, 0, 7); c.stroke();
  }
}
function dab(x, y) {
  const r = v.w / 10;
  for (let j = 0; j < v.h; j++) for (let i = 0; i < v.w; i++) if (Math.hypot(i + .5 - x, j + .5 - y) < r) mask[j * v.w + i] = 1;
}
function paint(x, y) {  // along the way from the last place
  const from = at || [x, y], n = Math.ceil(Math.hypot(x - from[0], y - from[1])) || 1;
  for (let k = 1; k <= n; k++) dab(from[0] + (x - from[0]) * k / n, from[1] + (y - from[1]) * k / n);
  at = [x, y];
  draw();
}
function send() {
  if (!v) return;
  draw();
  props.value = {...v, mask: btoa(String.fromCharCode(...mask))};
  trigger('input');
}
function fill(from) { if (v) { mask.fill(0); if (from !== undefined) mask.fill(1, from * v.w); send(); } }
function place(e) {
  const r = canvas.getBoundingClientRect();
  return [(e.clientX - r.left) / r.width * v.w, (e.clientY - r.top) / r.height * v.h];
}
canvas.addEventListener('pointerdown', e => {
  if (!v) return;
  down = true; key = false; at = null; canvas.setPointerCapture(e.pointerId); paint(...place(e));
});
canvas.addEventListener('pointermove', e => { if (down) paint(...place(e)); });
for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { if (down) { down = false; send(); } });
canvas.addEventListener('keydown', e => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  if (!v || !step && e.key !== ' ' && e.key !== 'Delete') return;
  e.preventDefault();
  key = true; at = at || [v.w / 2, v.h / 2];
  if (e.key === 'Delete') return fill();
  if (e.key === ' ') { painting = !painting; if (painting) paint(...at); else send(); return; }
  const to = [0, 1].map(k => Math.min(v.w, Math.max(0, at[k] + step[k] * v.w / 28)));
  if (painting) paint(...to); else { at = to; draw(); }
});
canvas.addEventListener('blur', () => { key = false; if (painting) { painting = false; send(); } draw(); });
find('.clear').addEventListener('click', () => fill());
find('.half').addEventListener('click', () => fill(Math.ceil(v ? v.h / 2 : 0)));

function load() {
  const now = props.value;
  v = now && now.pixels ? now : null;
  if (v) {
    drawRaw(small, v);
    mask = Uint8Array.from(atob(v.mask || ''), s => s.charCodeAt(0));
    if (mask.length !== v.w * v.h) mask = new Uint8Array(v.w * v.h);
  }
  draw();
}
watch('value', load);
load();
