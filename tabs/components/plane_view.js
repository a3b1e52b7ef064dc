const SIDE = 384, UNIT = 8000, box = find('.plane'), canvas = find('canvas'), context = canvas.getContext('2d');
const bar = find('.bar'), range = find('input'), text = find('.text'), message = find('.message');
let value = null, turn = 0, points = new Int16Array(0), density = null, lines = null, drawing = false, cross = null;
const toCanvas = (x, y) => [(x / UNIT + 1) / 2 * SIDE, (1 - y / UNIT) / 2 * SIDE];

function unpack(base64) {
  const s = atob(base64 || ''), bytes = Uint8Array.from(s, k => k.charCodeAt(0));
  return new Int16Array(bytes.buffer);
}
function colour(v) {  // night, indigo, sand
  const mix = (a, b, t) => a.map((k, i) => k + (b[i] - k) * t);
  const [r, g, b] = v < .5 ? mix([13, 17, 38], [99, 102, 241], 2 * v) : mix([99, 102, 241], [254, 240, 200], 2 * v - 1);
  return [r, g, b, 255];
}
function heatmap(base64) {
  const s = atob(base64), side = Math.round(Math.sqrt(s.length)), image = make('canvas');
  image.width = image.height = side;
  const data = new ImageData(side, side);
  for (let i = 0; i < s.length; i++) data.data.set(colour(s.charCodeAt(i) / 255), 4 * i);
  image.getContext('2d').putImageData(data, 0, 0);
  return image;
}
function draw() {
  context.fillStyle = 'rgb(13, 17, 38)'; context.fillRect(0, 0, SIDE, SIDE);
  const stage = lines ? +range.value : 0;
  range.style.setProperty('--at', range.max > 0 ? stage / range.max : 1);
  if (density && stage === +range.max) context.drawImage(density, 0, 0, SIDE, SIDE);
  context.fillStyle = 'rgba(255, 255, 255, .55)';
  if (!lines || stage === +range.max) for (let i = 0; i < points.length; i += 2) {
    const [x, y] = toCanvas(points[i], points[i + 1]);
    context.fillRect(x - 1, y - 1, 2, 2);
  }
  if (lines) for (let k = 0; k < 18; k++) {
    context.strokeStyle = k < 9 ? 'rgba(251, 146, 60, .8)' : 'rgba(94, 234, 212, .8)';
    context.beginPath();
    for (let i = 0; i < 41; i++) {
      const p = ((stage * 18 + k) * 41 + i) * 2;
      context.lineTo(...toCanvas(lines[p], lines[p + 1]));
    }
    context.stroke();
  }
  if (value && value.draw && !points.length) {
    context.fillStyle = '#bbb'; context.font = '17px sans-serif'; context.textAlign = 'center';
    context.fillText('Draw points here', SIDE / 2, SIDE / 2);
  }
  if (value && value.draw && cross) {
    context.strokeStyle = '#fff';
    context.strokeRect(cross[0] - 4, cross[1] - 4, 8, 8);
  }
}
function add(x, y) {  // three points scattered around a position on the canvas
  const added = [];
  for (let i = 0; i < 3 && points.length / 2 + i < 2000; i++) {
    const scatter = k => Math.max(-UNIT, Math.min(UNIT, Math.round(k + (Math.random() + Math.random() - 1) * .06 * UNIT)));
    added.push(scatter((x / SIDE * 2 - 1) * UNIT), scatter((1 - y / SIDE * 2) * UNIT));
  }
  points = Int16Array.from([...points, ...added]);
  density = lines = null; bar.hidden = true;
  draw();
}
function send() {
  const bytes = new Uint8Array(points.buffer);
  let s = '';
  for (const k of bytes) s += String.fromCharCode(k);
  trigger('input', {points: btoa(s)});
}
function position(e) {
  const r = canvas.getBoundingClientRect();
  return [(e.clientX - r.left) / r.width * SIDE, (e.clientY - r.top) / r.height * SIDE];
}
canvas.addEventListener('pointerdown', e => {
  if (!value || !value.draw || value.live) return;
  drawing = true; canvas.setPointerCapture(e.pointerId); add(...position(e));
});
canvas.addEventListener('pointermove', e => { if (drawing) add(...position(e)); });
for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { if (drawing) { drawing = false; send(); } });
canvas.addEventListener('keydown', e => {
  if (!value || !value.draw || value.live) return;
  const step = {ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12]}[e.key];
  cross = cross || [SIDE / 2, SIDE / 2];
  if (step) cross = cross.map((k, i) => Math.min(SIDE - 6, Math.max(6, k + step[i])));
  else if (e.key === ' ') { add(...cross); send(); }
  else return;
  e.preventDefault();
  draw();
});
range.addEventListener('input', draw);

function load() {
  const v = props.value;
  if (v && v.turn < turn) return;  // the visitor did something else meanwhile
  turn = (v && v.turn) || 0;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  box.hidden = !v || !!v.message;
  if (!v || v.message) { value = null; return; }
  value = v;
  points = unpack(v.points);
  density = v.density ? heatmap(v.density) : null;
  lines = v.lines ? unpack(v.lines) : null;
  bar.hidden = !lines || !!v.live;
  range.max = lines ? v.stages - 1 : 0;
  range.value = range.max;
  text.textContent = v.text || '';
  canvas.classList.toggle('open', !!v.draw && !v.live);
  draw();
}
watch('value', load);
load();
