const view = find('.view'), bar = find('.bar'), divider = find('.divider'), zoom = find('.zoom'), select = find('select');
const box = find('.tiles'), caption = find('.caption'), tags = [find('.left-tag'), find('.right-tag')];
const canvases = [find('.left'), find('.right')];
let value = null, image = null, selected = [0, 1], names = [], centre = [.5, .5], tiles = [], drag = null, announcement;

// Draws the part of picture i that is in sight, around `centre`, onto a canvas.
function drawVisible(canvas, i) {
  const {w, h, columns} = value, z = 2 ** zoom.value, pw = Math.max(1, Math.round(w / z)), ph = Math.max(1, Math.round(h / z));
  const x = Math.round(centre[0] * w - pw / 2), y = Math.round(centre[1] * h - ph / 2);
  resize(canvas, pw, ph);
  const c = canvas.getContext('2d');
  c.imageSmoothingEnabled = false;
  c.drawImage(image, i % columns * w + x, Math.floor(i / columns) * h + y, pw, ph, 0, 0, pw, ph);
}
function draw() {
  if (!value) return;
  const half = .5 / 2 ** zoom.value;
  centre = centre.map(k => Math.min(1 - half, Math.max(half, k)));
  view.classList.toggle('zoomed', zoom.value > 0);
  canvases.forEach((canvas, k) => {
    drawVisible(canvas, selected[k]);
    const shown = {picture: spoken(value.pictures[selected[k]])};
    canvas.setAttribute('aria-label', k ? _('Right: {picture}', shown) : _('Left: {picture}', shown));
    tags[k].textContent = value.pictures[selected[k]].name;
  });
  tiles.forEach((tile, i) => { drawVisible(tile.firstChild, i); tile.setAttribute('aria-pressed', i === selected[1]); });
  select.value = selected[0];
  updateSliders();
}
function updateSliders() {
  view.style.setProperty('--cut', divider.value / 10 + '%');
  fillTrack(divider);
  fillTrack(zoom);
}
divider.addEventListener('input', updateSliders);
zoom.addEventListener('input', draw);
select.addEventListener('change', () => { selected[0] = +select.value; draw(); });
view.addEventListener('pointerdown', e => {
  const start = positionIn(view, e), near = Math.abs(start[0] - divider.value / 1000) < .04;
  drag = {pan: zoom.value > 0 && !near, start, centre};
  view.setPointerCapture(e.pointerId);
  move(e);
});
function move(e) {
  if (!drag) return;
  const position = positionIn(view, e);
  if (drag.pan) {
    centre = drag.centre.map((k, i) => k - (position[i] - drag.start[i]) / 2 ** zoom.value);
    draw();
  } else {
    divider.value = 1000 * position[0];
    updateSliders();
  }
}
view.addEventListener('pointermove', move);
for (const name of ['pointerup', 'pointercancel']) view.addEventListener(name, () => { drag = null; });
view.addEventListener('keydown', e => {
  const step = ARROWS[e.key];
  if (!step || !(zoom.value > 0)) return;
  centre = centre.map((k, i) => k + step[i] * .1 / 2 ** zoom.value);
  draw();
  e.preventDefault();
});

function spoken({name, note}) { return _('{name}. {note}', {name, note}); }
function build(v) {
  const present = v.pictures.map(p => p.name);
  if (names.join() !== present.join()) {  // the choice stays where that picture is still there
    selected = selected.map((i, k) => present.includes(names[i]) ? present.indexOf(names[i]) : k ? v.right : v.left);
    names = present;
    select.replaceChildren(...names.map((name, i) => { const o = make('option', '', name); o.value = i; return o; }));
    tiles = names.map((name, i) => {
      const tile = makeButton('tile', '', () => { selected[1] = i; draw(); });
      tile.append(make('canvas'), make('span', 'name', name), make('span', 'note'));
      return tile;
    });
    box.replaceChildren(...tiles);
  }
  tiles.forEach((tile, i) => {
    tile.lastChild.textContent = v.pictures[i].note;
    for (const e of [tile, tile.firstChild]) e.setAttribute('aria-label', spoken(v.pictures[i]));
  });
}
/** @param {Sheet & {pictures: {name: string, note: string}[], left: number, right: number, caption: string, turn: number}} v */
function load(v) {
  if (!v || !v.source) { view.hidden = bar.hidden = true; box.replaceChildren(); caption.textContent = ''; names = []; value = null; return; }
  openSheet(v, opened => {
    if (value && (value.w !== v.w || value.h !== v.h)) { zoom.value = 0; centre = [.5, .5]; }
    image = opened; value = v;
    view.hidden = bar.hidden = false;
    caption.textContent = v.caption || '';
    build(v);
    draw();
    clearTimeout(announcement);  // not every step of a slider
    announcement = setTimeout(() => announce(v.pictures.map(spoken).join(' ')), 1000);
  });
}
onValue(load);
