const view = find('.view'), bar = find('.bar'), divider = find('.divider'), zoom = find('.zoom'), select = find('select');
const box = find('.tiles'), message = find('.message'), told = find('.told'), tags = [find('.before'), find('.after')];
const canvases = [find('.left'), find('.right')];
let value = null, newest = null, image = null, shown = [0, 1], names = [], at = [.5, .5], tiles = [], drag = null;

// The part of picture i that is in sight, onto a canvas; at: its middle, 0 to 1.
function part_of(canvas, i) {
  const {w, h, columns} = value, z = 2 ** zoom.value, pw = Math.max(1, Math.round(w / z)), ph = Math.max(1, Math.round(h / z));
  const x = Math.round(at[0] * w - pw / 2), y = Math.round(at[1] * h - ph / 2);
  if (canvas.width !== pw || canvas.height !== ph) { canvas.width = pw; canvas.height = ph; }
  const c = canvas.getContext('2d');
  c.imageSmoothingEnabled = false;
  c.drawImage(image, i % columns * w + x, Math.floor(i / columns) * h + y, pw, ph, 0, 0, pw, ph);
}
function draw() {
  if (!value) return;
  const half = .5 / 2 ** zoom.value;
  at = at.map(a => Math.min(1 - half, Math.max(half, a)));
  view.classList.toggle('zoomed', zoom.value > 0);
  canvases.forEach((canvas, k) => {
    part_of(canvas, shown[k]);
    canvas.setAttribute('aria-label', `${k ? 'Right' : 'Left'}: ${value.names[shown[k]]}. ${value.notes[shown[k]]}`);
    tags[k].textContent = value.names[shown[k]];
  });
  tiles.forEach((tile, i) => { part_of(tile.firstChild, i); tile.setAttribute('aria-pressed', i === shown[1]); });
  select.value = shown[0];
  cut();
}
function cut() {
  view.style.setProperty('--cut', divider.value / 10 + '%');
  divider.style.setProperty('--at', divider.value / 1000);
  zoom.style.setProperty('--at', zoom.value / 4);
}
divider.addEventListener('input', cut);
zoom.addEventListener('input', draw);
select.addEventListener('change', () => { shown[0] = +select.value; draw(); });
view.addEventListener('pointerdown', e => {
  const r = view.getBoundingClientRect(), near = Math.abs((e.clientX - r.left) / r.width - divider.value / 1000) < .04;
  drag = {pan: zoom.value > 0 && !near, x: e.clientX, y: e.clientY, at: [...at]};
  view.setPointerCapture(e.pointerId);
  move(e);
});
function move(e) {
  if (!drag) return;
  const r = view.getBoundingClientRect();
  if (drag.pan) {
    at = [drag.at[0] - (e.clientX - drag.x) / r.width / 2 ** zoom.value, drag.at[1] - (e.clientY - drag.y) / r.height / 2 ** zoom.value];
    draw();
  } else {
    divider.value = 1000 * (e.clientX - r.left) / r.width;
    cut();
  }
}
view.addEventListener('pointermove', move);
for (const name of ['pointerup', 'pointercancel']) view.addEventListener(name, () => { drag = null; });
view.addEventListener('keydown', e => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  if (!step || !(zoom.value > 0)) return;
  at = at.map((a, k) => a + step[k] * .1 / 2 ** zoom.value);
  draw();
  e.preventDefault();
});

function build(v) {
  if (names.join() !== v.names.join()) {  // the choice stays where that picture is still there
    shown = shown.map((i, k) => v.names.includes(names[i]) ? v.names.indexOf(names[i]) : k ? v.right : v.left);
    names = [...v.names];
    select.replaceChildren(...v.names.map((name, i) => { const o = make('option', '', name); o.value = i; return o; }));
    tiles = v.names.map((name, i) => {
      const tile = make('button', 'tile');
      tile.type = 'button';
      tile.append(make('canvas'), make('span', 'name', name), make('span', 'note'));
      tile.addEventListener('click', () => { shown[1] = i; draw(); });
      return tile;
    });
    box.replaceChildren(...tiles);
  }
  tiles.forEach((tile, i) => {
    tile.lastChild.textContent = v.notes[i];
    for (const e of [tile, tile.firstChild]) e.setAttribute('aria-label', `${v.names[i]}. ${v.notes[i]}`);
  });
}
function load() {
  const v = props.value;
  if (v && newest && v.turn < newest.turn) return;  // what was still on its way when the visitor did something else
  if (v) newest = v;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  if (!v || !v.source) { view.hidden = bar.hidden = true; box.replaceChildren(); told.textContent = ''; names = []; value = null; return; }
  openSheet(v, () => newest === v, opened => {
    if (value && (value.w !== v.w || value.h !== v.h)) { zoom.value = 0; at = [.5, .5]; }
    image = opened; value = v;
    view.hidden = bar.hidden = false;
    told.textContent = v.told || '';
    build(v);
    draw();
  });
}
watch('value', load);
load();
