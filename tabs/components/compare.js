const view = find('.view'), bar = find('.bar'), divider = find('.divider'), zoom = find('.zoom'), select = find('select');
const box = find('.tiles'), message = find('.message'), caption = find('.caption'), tags = [find('.left-tag'), find('.right-tag')];
const canvases = [find('.left'), find('.right')];
let value = null, newest = null, image = null, names = [], tiles = [], drag = null;
let selected = [0, 1];  // indices of the left and the right picture
let centre = [.5, .5];  // of the visible part: x and y, 0 to 1

// Draws the visible part of picture i onto a canvas.
function drawVisible(canvas, i) {
  const {w, h, columns} = value, scale = 2 ** zoom.value;
  const width = Math.max(1, Math.round(w / scale)), height = Math.max(1, Math.round(h / scale));
  const x = Math.round(centre[0] * w - width / 2), y = Math.round(centre[1] * h - height / 2);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(image, i % columns * w + x, Math.floor(i / columns) * h + y, width, height, 0, 0, width, height);
}
function draw() {
  if (!value) return;
  const half = .5 / 2 ** zoom.value;
  centre = centre.map(c => Math.min(1 - half, Math.max(half, c)));
  view.classList.toggle('zoomed', zoom.value > 0);
  canvases.forEach((canvas, k) => {
    const name = value.names[selected[k]], note = value.notes[selected[k]];
    drawVisible(canvas, selected[k]);
    canvas.setAttribute('aria-label', `${k ? 'Right' : 'Left'}: ${name}. ${note}`);
    tags[k].textContent = name;
  });
  tiles.forEach((tile, i) => { drawVisible(tile.firstChild, i); tile.setAttribute('aria-pressed', i === selected[1]); });
  select.value = selected[0];
  updateSliders();
}
function updateSliders() {
  view.style.setProperty('--cut', divider.value / 10 + '%');
  divider.style.setProperty('--at', divider.value / 1000);
  zoom.style.setProperty('--at', zoom.value / 4);
}
divider.addEventListener('input', updateSliders);
zoom.addEventListener('input', draw);
select.addEventListener('change', () => { selected[0] = +select.value; draw(); });
view.addEventListener('pointerdown', e => {
  const r = view.getBoundingClientRect();
  const onDivider = Math.abs((e.clientX - r.left) / r.width - divider.value / 1000) < .04;
  drag = {pan: zoom.value > 0 && !onDivider, x: e.clientX, y: e.clientY, centre: [...centre]};
  view.setPointerCapture(e.pointerId);
  move(e);
});
function move(e) {
  if (!drag) return;
  const r = view.getBoundingClientRect(), scale = 2 ** zoom.value;
  if (drag.pan) {
    centre = [drag.centre[0] - (e.clientX - drag.x) / r.width / scale, drag.centre[1] - (e.clientY - drag.y) / r.height / scale];
    draw();
  } else {
    divider.value = 1000 * (e.clientX - r.left) / r.width;
    updateSliders();
  }
}
view.addEventListener('pointermove', move);
for (const name of ['pointerup', 'pointercancel']) view.addEventListener(name, () => { drag = null; });
view.addEventListener('keydown', e => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  if (!step || !(zoom.value > 0)) return;
  centre = centre.map((c, k) => c + step[k] * .1 / 2 ** zoom.value);
  draw();
  e.preventDefault();
});

function build(v) {
  if (names.join() !== v.names.join()) {
    const initial = [v.left, v.right];
    selected = selected.map((i, k) => {  // pictures that still exist stay selected
      const j = v.names.indexOf(names[i]);
      return j < 0 ? initial[k] : j;
    });
    names = [...v.names];
    select.replaceChildren(...v.names.map((name, i) => {
      const option = make('option', '', name);
      option.value = i;
      return option;
    }));
    tiles = v.names.map((name, i) => {
      const tile = make('button', 'tile');
      tile.type = 'button';
      tile.append(make('canvas'), make('span', 'name', name), make('span', 'note'));
      tile.addEventListener('click', () => { selected[1] = i; draw(); });
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
  if (v && newest && v.turn < newest.turn) return;  // a late value of an outdated action
  if (v) newest = v;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  if (!v || !v.source) { view.hidden = bar.hidden = true; box.replaceChildren(); caption.textContent = ''; names = []; value = null; return; }
  openSheet(v, () => newest === v, opened => {
    if (value && (value.w !== v.w || value.h !== v.h)) { zoom.value = 0; centre = [.5, .5]; }
    image = opened; value = v;
    view.hidden = bar.hidden = false;
    caption.textContent = v.caption || '';
    build(v);
    draw();
  });
}
watch('value', load);
load();
