const COLOURS = ['#4e9bff', '#ff9d3c', '#4fd06a', '#ff5d5d', '#b98cff', '#c99a7c', '#ff8fd0', '#c4c4c4', '#e3df3f', '#3fdfe3'];
const SIDE = 560;  // pixels of a map
const PICTURES_PER_ROW = 14;  // on the map, approximately
const box = find('.maps'), legend = find('.legend'), dots = find('input');
let maps = [], pointer = null;  // [u, v], each from 0 to 1, from the top left

function drawBackground(map) {  // what does not change with the pointer is drawn once
  const v = map.v, c = document.createElement('canvas').getContext('2d'), step = Math.max(1, Math.round(v.columns / PICTURES_PER_ROW));
  c.canvas.width = c.canvas.height = SIDE;
  c.fillStyle = '#000';
  c.fillRect(0, 0, SIDE, SIDE);
  const n = Math.ceil(v.columns / step), size = SIDE / n;
  c.globalAlpha = dots.checked ? .5 : 1;
  for (let r = 0; r < n; r++) for (let k = 0; k < n; k++) {
    const i = Math.min(v.columns - 1, r * step + (step >> 1)), j = Math.min(v.columns - 1, k * step + (step >> 1));
    c.drawImage(map.image, j * v.w, i * v.h, v.w, v.h, k * size, r * size, size, size);
  }
  c.globalAlpha = 1;
  const {x0, x1, y0, y1} = v.bounds;
  if (dots.checked) for (const {x, y, label} of JSON.parse(v.points)) {
    c.beginPath();
    c.arc((x - x0) / (x1 - x0) * SIDE, (y1 - y) / (y1 - y0) * SIDE, 6, 0, 7);
    c.fillStyle = COLOURS[label % 10];
    c.fill();
    c.lineWidth = 1.5; c.strokeStyle = '#000'; c.stroke();
  }
  map.background = c.canvas;
}
function draw() {
  for (const map of maps) {
    if (!map.background) continue;
    const c = map.canvas.getContext('2d'), v = map.v;
    c.drawImage(map.background, 0, 0);
    if (!pointer) continue;
    const [u, w] = pointer, {x0, x1, y0, y1} = v.bounds;
    const cell = k => Math.min(v.columns - 1, Math.max(0, Math.floor(k * v.columns)));
    drawCell(map.view, map.image, v, cell(w) * v.columns + cell(u));
    c.lineWidth = 2;
    for (const [colour, grow] of [['#000', 1.5], ['#fff', 0]]) {
      c.strokeStyle = colour;
      c.lineWidth = 3 + 2 * grow;
      c.strokeRect(u * SIDE - 14, w * SIDE - 14, 28, 28);
    }
    map.position.textContent = (x0 + u * (x1 - x0)).toFixed(1) + ', ' + (y1 - w * (y1 - y0)).toFixed(1);
  }
}
function move(u, w) { pointer = [Math.min(1, Math.max(0, u)), Math.min(1, Math.max(0, w))]; draw(); }
function point(e) { move(...positionIn(e.currentTarget, e)); }
function choose() { if (pointer) trigger('click', {u: pointer[0], v: pointer[1]}); }
function keys(e) {
  const step = ARROWS[e.key];
  if (step) {
    pointer = pointer || [.5, .5];
    move(pointer[0] + step[0] / 40, pointer[1] + step[1] / 40);
    e.preventDefault();
  }
  if (e.key === 'Enter' || e.key === ' ') { choose(); e.preventDefault(); }
}
/**
 * @typedef {{x0: number, x1: number, y0: number, y1: number}} Bounds
 * @param {{maps: (Sheet & {title: string, bounds: Bounds, points: string, message: string})[], classes: string[]}} v
 *   points: JSON of {x: number, y: number, label: number}[]
 */
function load(v) {
  maps = [];
  find('.toggle').hidden = !(v && v.maps);
  box.replaceChildren();
  legend.replaceChildren();
  if (!v || !v.maps) return;
  v.maps.forEach(m => {
    const figure = make('figure'), title = make('figcaption', '', m.title);
    figure.append(title);
    box.append(figure);
    if (m.message) { figure.append(make('p', 'message', m.message)); return; }
    const map = {v: m, canvas: make('canvas', 'map'), view: make('canvas', 'view'), position: make('span', 'position')};
    map.position.setAttribute('aria-live', 'polite');
    const details = make('div', 'details');
    map.canvas.width = map.canvas.height = SIDE;
    map.canvas.tabIndex = 0;
    describe(map.canvas, 'application', _('{title}: map of latent codes. Arrow keys move the point, Enter puts its code on the sliders.', m));
    describe(map.view, 'img', _('{title}: the picture decoded at the pointer', m));
    map.canvas.addEventListener('pointermove', point);
    map.canvas.addEventListener('pointerdown', point);
    map.canvas.addEventListener('click', e => { point(e); choose(); });
    map.canvas.addEventListener('keydown', keys);
    details.append(map.view, map.position);
    figure.append(map.canvas, details);
    maps.push(map);
    openSheet(m, image => {
      map.image = image;
      drawBackground(map);
      pointer = pointer || [.5, .5];
      draw();
    });
  });
  legend.append(...v.classes.map((name, i) => legendItem('item', COLOURS[i % 10], name)));
}
dots.addEventListener('change', () => { maps.forEach(m => m.image && drawBackground(m)); draw(); });
onValue(load);
