const UNIT = props.unit, box = find('.plane'), canvas = find('canvas'), context = canvas.getContext('2d'), SIDE = canvas.width;
const bar = find('.bar'), range = find('input'), text = find('.text');
const undo = find('.undo'), clear = find('.clear');
let value = null, points = new Int16Array(0), density = null, grid = null, cross = null, strokes = [];  // grid: its coordinates; strokes: how many came before each
const toCanvas = (x, y) => [(x / UNIT + 1) / 2 * SIDE, (1 - y / UNIT) / 2 * SIDE];

function unpack(base64) { return new Int16Array(decode(base64).buffer); }
function colour(v) {  // night, indigo, sand
  const mix = (a, b, t) => a.map((k, i) => k + (b[i] - k) * t);
  const [r, g, b] = v < .5 ? mix([13, 17, 38], [99, 102, 241], 2 * v) : mix([99, 102, 241], [254, 240, 200], 2 * v - 1);
  return [r, g, b, 255];
}
function heatmap(base64) {
  const bytes = decode(base64), side = Math.round(Math.sqrt(bytes.length)), image = make('canvas');
  resize(image, side, side);
  const data = new ImageData(side, side);
  bytes.forEach((k, i) => data.data.set(colour(k / 255), 4 * i));
  image.getContext('2d').putImageData(data, 0, 0);
  return image;
}
function draw() {
  context.fillStyle = 'rgb(13, 17, 38)'; context.fillRect(0, 0, SIDE, SIDE);
  const stage = grid ? +range.value : 0;
  fillTrack(range);
  if (density && stage === +range.max) context.drawImage(density, 0, 0, SIDE, SIDE);
  context.fillStyle = 'rgba(255, 255, 255, .55)';
  if (!grid || stage === +range.max) for (let i = 0; i < points.length; i += 2) {
    const [x, y] = toCanvas(points[i], points[i + 1]);
    context.fillRect(x - 1, y - 1, 2, 2);
  }
  if (grid) for (let k = 0, p = stage * 2 * value.grid.lines * value.grid.points; k < value.grid.lines; k++) {
    context.strokeStyle = k < value.grid.lines / 2 ? 'rgba(251, 146, 60, .8)' : 'rgba(94, 234, 212, .8)';
    context.beginPath();
    for (let i = 0; i < value.grid.points; i++, p += 2) context.lineTo(...toCanvas(grid[p], grid[p + 1]));
    context.stroke();
  }
  if (value && value.draw && !points.length) {
    context.fillStyle = '#bbb'; context.font = '17px sans-serif'; context.textAlign = 'center';
    context.fillText(_('Draw points here'), SIDE / 2, SIDE / 2);
  }
  if (value && value.draw && cross) {
    context.strokeStyle = '#fff';
    context.strokeRect(cross[0] - 4, cross[1] - 4, 8, 8);
  }
}
function add(x, y) {  // three points scattered around a position, each from 0 to 1
  const added = [];
  for (let i = 0; i < 3 && points.length / 2 + i < props.most_points; i++) {
    const scatter = k => Math.max(-UNIT, Math.min(UNIT, Math.round(k + (Math.random() + Math.random() - 1) * .06 * UNIT)));
    added.push(scatter((x * 2 - 1) * UNIT), scatter((1 - y * 2) * UNIT));
  }
  points = Int16Array.from([...points, ...added]);
  density = grid = null; bar.hidden = true;
  draw();
}
function keep(n) {  // the first n coordinates, without what was learnt from all of them
  points = points.slice(0, n);
  strokes = strokes.filter(k => k < n);
  density = grid = null; bar.hidden = true;
  draw();
  send();
}
function begin() { return mayDraw() && strokes.push(points.length); }
undo.addEventListener('click', () => keep(strokes.at(-1) || 0));
clear.addEventListener('click', () => keep(0));
function send() { trigger('input', {points: encode(new Uint8Array(points.buffer))}); }
function mayDraw() { return value && value.draw && !value.live; }
onStroke(canvas, begin, add, send);
canvas.addEventListener('keydown', e => {
  if (!mayDraw()) return;
  const step = ARROWS[e.key];
  cross = cross || [SIDE / 2, SIDE / 2];
  if (step) cross = cross.map((k, i) => Math.min(SIDE - 6, Math.max(6, k + 12 * step[i])));
  else if (e.key === ' ') { begin(); add(cross[0] / SIDE, cross[1] / SIDE); send(); }
  else if (e.key === 'Delete') keep(0);
  else if (e.key === 'Backspace') keep(strokes.at(-1) || 0);
  else return;
  e.preventDefault();
  draw();
});
range.addEventListener('input', draw);

/**
 * @typedef {{stages: number, lines: number, points: number, coordinates: string}} Grid
 * @param {{points: string, draw: boolean, text: string, density: string, grid: Grid, live: boolean, turn: number,
 *   message: string}} v
 */
function load(v) {
  box.hidden = !v || !!v.message;
  if (!v || v.message) { value = null; return; }
  value = v;
  points = unpack(v.points);
  strokes = strokes.filter(k => k < points.length);
  density = v.density ? heatmap(v.density) : null;
  grid = v.grid ? unpack(v.grid.coordinates) : null;
  bar.hidden = !grid || !!v.live;
  range.max = grid ? v.grid.stages - 1 : 0;
  range.value = range.max;
  find('.edit').hidden = !v.draw || !!v.live;
  undo.disabled = clear.disabled = !points.length;
  text.setAttribute('aria-live', v.live ? 'off' : 'polite');  // of a training its end
  text.textContent = v.text || '';
  canvas.classList.toggle('open', !!v.draw && !v.live);
  draw();
}
onValue(load);
