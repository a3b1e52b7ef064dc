const UNIT = props.unit, NIGHT = 'rgb(13, 17, 38)', ERASER = .08 * UNIT;
const FAMILIES = {  // colour, name, and what is minimized
  data: ['#cbd5e1', _('Points'), _('press and drag to draw')],
  vae: ['#3b82f6', _('VAE'), _('reconstruction + KL')],
  gan: ['#f08a3c', _('GAN'), _('generator against discriminator')],
  flow: ['#2fae84', _('Normalizing flow'), '−log p(x)'],
  diffusion: ['#c26be0', _('Diffusion'), '|ε̂(xₜ, t) − ε|²'],
  'flow matching': ['#d9a521', _('Flow matching'), '|v(xₜ, t) − (x − z)|²'],
};
const NAMES = Object.keys(FAMILIES), box = find('.playground'), list = find('.panels'), choice = find('.choice'), edit = find('.edit');
const still = matchMedia('(prefers-reduced-motion: reduce)');
const erase = find('.erase'), undo = find('.undo'), clear = find('.clear'), boxes = [...element.querySelectorAll('.show input')];
let value = null, panels = {}, points = new Int16Array(0), before = [], drawing = false, cross = null;  // before: the points before each stroke
let sent = null, sentAt = 0, waiting = false;  // what was sent and is not shown yet; whether there is more to send

const view = {};  // of each panel: its elements, a canvas of what does not move, and its samples
for (const name of NAMES) {
  const [colour, title, text] = FAMILIES[name], panel = make('figure', 'panel ' + (name === 'data' ? 'data' : '')), header = make('header');
  const label = make('b', '', title), mark = make('i'), frame = make('div', 'frame'), canvas = make('canvas'), error = make('p'), footer = make('footer');
  mark.style.background = colour;
  label.prepend(mark);
  const enlarge = makeButton('enlarge', '⤢', () => { choose(name, !panel.classList.contains('large')); noteLook(); });
  enlarge.setAttribute('aria-label', _('Enlarge: {name}', {name: title}));
  header.append(label, make('small', '', text), enlarge);
  error.hidden = true;
  frame.append(canvas, error);
  panel.append(header, frame, footer);
  list.append(panel);
  const pill = makeButton('', title, () => { choose(name, false); noteLook(); });
  choice.append(pill);
  describe(canvas, 'img', title);
  view[name] = {panel, canvas, error, footer, pill, enlarge, back: make('canvas'), samples: null, from: null};
}
view.data.panel.append(edit);
view.data.canvas.tabIndex = 0;
describe(view.data.canvas, 'application', _('Points in the plane. To draw your own: arrow keys move a cross, Space adds points, Backspace takes the last ones back, Delete all.'));
find('.key').append(...NAMES.slice(1).map(name => legendItem('', FAMILIES[name][0], FAMILIES[name][1])));

function choose(name, large) {  // on a phone the one panel that is shown
  for (const [other, {panel, pill, enlarge}] of Object.entries(view)) {
    panel.classList.toggle('large', large && other === name);
    panel.classList.toggle('chosen', other === name);
    panel.style.order = large && other === name ? -1 : 0;
    enlarge.setAttribute('aria-pressed', large && other === name);
    pill.setAttribute('aria-pressed', other === name);
  }
  box.dataset.large = large ? name : '';
  drawAll();
}
function hide(names) {
  for (const b of boxes) b.checked = !names.includes(b.value);
  box.dataset.hidden = names.join();
  drawAll();
}
function noteLook() { trigger('change'); }  // for the link

function unpack(base64) { return new Int16Array(decode(base64).buffer); }
function shows(part) { return boxes.find(b => b.value === part).checked; }
function heat(t) {  // night, indigo, sand
  const mix = (a, b, t) => a.map((k, i) => k + (b[i] - k) * t);
  return t < .5 ? mix([13, 17, 38], [79, 84, 190], 2 * t) : mix([79, 84, 190], [240, 220, 180], 2 * t - 1);
}
function heatmap(base64) {
  const bytes = decode(base64), side = Math.round(Math.sqrt(bytes.length)), image = make('canvas'), data = new ImageData(side, side);
  bytes.forEach((k, i) => data.data.set([...heat(k / 255), 255], 4 * i));
  resize(image, side, side);
  image.getContext('2d').putImageData(data, 0, 0);
  return image;
}
function dots(context, side, coordinates, colour, size) {
  const r = size * Math.max(1, side / 330);
  context.fillStyle = colour;
  for (let i = 0; i < coordinates.length; i += 2) {
    context.fillRect((coordinates[i] / UNIT + 1) / 2 * side - r / 2, (1 - coordinates[i + 1] / UNIT) / 2 * side - r / 2, r, r);
  }
}
const stamps = {};
function stamp(colour, size) {  // a disc with a dark rim, of which copies are drawn faster than discs
  if (stamps[colour + size]) return stamps[colour + size];
  const image = stamps[colour + size] = make('canvas'), context = image.getContext('2d'), middle = Math.ceil(3 * size);
  resize(image, 2 * middle, 2 * middle);
  for (const [fill, radius] of [['rgba(2, 6, 23, .75)', 2.6], [colour, 1.9]]) {
    context.fillStyle = fill;
    context.beginPath(); context.arc(middle, middle, radius * size, 0, 7); context.fill();
  }
  return image;
}
function discs(context, side, coordinates, colour) {
  const image = stamp(colour, Math.max(1, Math.round(side / 66) / 5)), r = image.width / 2;
  for (let i = 0; i < coordinates.length; i += 2) context.drawImage(image, (coordinates[i] / UNIT + 1) / 2 * side - r, (1 - coordinates[i + 1] / UNIT) / 2 * side - r);
}
function curve(context, side, coordinates, first, count) {
  context.beginPath();
  for (let i = first; i < first + 2 * count; i += 2) context.lineTo((coordinates[i] / UNIT + 1) / 2 * side, (1 - coordinates[i + 1] / UNIT) / 2 * side);
  context.stroke();
}
const INSIDE = {  // (context, side of the canvas, what the panel has, colour of the family)
  map(context, side, text) { context.drawImage(heatmap(text), 0, 0, side, side); },
  lines(context, side, text) {
    const grid = unpack(text), count = 21, lines = grid.length / 2 / count;
    for (let k = 0; k < lines; k++) {
      context.strokeStyle = k < lines / 2 ? 'rgba(251, 146, 60, .55)' : 'rgba(94, 234, 212, .55)';
      curve(context, side, grid, 2 * count * k, count);
    }
  },
  arrows(context, side, text) {
    const all = unpack(text), cell = side / Math.sqrt(all.length / 4);
    context.strokeStyle = context.fillStyle = 'rgba(148, 163, 184, .7)';
    for (let i = 0; i < all.length; i += 4) {
      const x = (all[i] / UNIT + 1) / 2 * side, y = (1 - all[i + 1] / UNIT) / 2 * side;
      const dx = all[i + 2] / UNIT * cell * .85, dy = -all[i + 3] / UNIT * cell * .85, w = .16;
      context.beginPath(); context.moveTo(x, y); context.lineTo(x + dx, y + dy); context.stroke();
      context.beginPath(); context.moveTo(x + dx, y + dy);
      context.lineTo(x + .7 * dx - w * dy, y + .7 * dy + w * dx); context.lineTo(x + .7 * dx + w * dy, y + .7 * dy - w * dx); context.fill();
    }
  },
  paths(context, side, text, colour) {
    const all = unpack(text), count = all.length / 2 / 24;
    context.strokeStyle = colour + 'a0';
    for (let k = 0; k < 24; k++) curve(context, side, all, 2 * count * k, count);
  },
  few(context, side, text) {  // the same ways in few steps: dashed, with a ring where they end
    const all = unpack(text), count = all.length / 2 / 24, scale = side / 330;
    context.save();
    context.strokeStyle = 'rgba(255, 255, 255, .6)'; context.setLineDash([4 * scale, 4 * scale]);
    for (let k = 0; k < 24; k++) curve(context, side, all, 2 * count * k, count);
    context.setLineDash([]);
    for (let k = 1; k <= 24; k++) {
      const i = 2 * count * k - 2;
      context.beginPath(); context.arc((all[i] / UNIT + 1) / 2 * side, (1 - all[i + 1] / UNIT) / 2 * side, 2.6 * scale, 0, 7); context.stroke();
    }
    context.restore();
  },
  codes(context, side, text, colour) {  // three standard deviations of the prior, in a corner
    const inset = .3 * side, codes = unpack(text), corner = side - inset - 6;
    context.save();
    context.translate(corner, corner);
    context.fillStyle = 'rgba(2, 6, 23, .8)'; context.fillRect(0, 0, inset, inset);
    context.strokeStyle = 'rgba(148, 163, 184, .6)'; context.strokeRect(0, 0, inset, inset);
    context.beginPath(); context.rect(0, 0, inset, inset); context.clip();
    for (const radius of [1, 2]) { context.beginPath(); context.arc(inset / 2, inset / 2, inset / 6 * radius, 0, 7); context.stroke(); }
    dots(context, inset, codes.map(k => k / 3), colour, 1.4);
    context.fillStyle = '#cbd5e1'; context.font = `${Math.max(10, side / 32)}px sans-serif`; context.fillText(_('codes'), 5, Math.max(12, side / 26));
    context.restore();
  },
};

function drawBack(name) {  // what does not move
  const {canvas, back} = view[name], panel = panels[name] || {}, [colour] = FAMILIES[name];
  const side = Math.min(1200, Math.round(canvas.clientWidth * devicePixelRatio));
  if (!side) return;
  resize(canvas, side, side);
  resize(back, side, side);
  const context = back.getContext('2d'), inside = (shows('inside') && panel.inside) || {};
  context.fillStyle = NIGHT; context.fillRect(0, 0, side, side);
  context.lineWidth = Math.max(1, side / 420);
  if (inside.map) INSIDE.map(context, side, inside.map);
  if (name === 'data' || shows('points')) dots(context, side, points, name === 'data' ? 'rgba(255, 255, 255, .8)' : 'rgba(255, 255, 255, .32)', name === 'data' ? 2.4 : 2);
  for (const part of Object.keys(inside)) if (part !== 'map') INSIDE[part](context, side, inside[part], colour);
  if (name === 'data' && !points.length) {
    context.fillStyle = '#cbd5e1'; context.font = `${side / 20}px sans-serif`; context.textAlign = 'center';
    context.fillText(_('Draw points here'), side / 2, side / 2);
  }
  if (name === 'data' && cross) { context.strokeStyle = '#fff'; context.strokeRect(cross[0] * side - 5, cross[1] * side - 5, 10, 10); }
}
function drawFront(name, share) {  // share: of the way from the last samples to these
  const {canvas, back, samples, from} = view[name];
  if (!back.width || !canvas.clientWidth) return;
  const context = canvas.getContext('2d');
  context.drawImage(back, 0, 0);
  if (!samples || !shows('samples')) return;
  const moved = from && from.length === samples.length && share < 1 ? samples.map((k, i) => from[i] + (k - from[i]) * share) : samples;
  discs(context, canvas.width, moved, FAMILIES[name][0]);
}
function drawAll(share = 1) { for (const name of NAMES) { drawBack(name); drawFront(name, share); } }
let moving = 0;
function move() {  // the samples go where they are now
  cancelAnimationFrame(moving);
  const start = performance.now();
  let last = 0;
  const next = now => {
    const share = Math.min(1, (now - start) / 280);
    if (share === 1 || now - last > 30) { last = now; NAMES.slice(1).forEach(name => drawFront(name, share)); }
    if (share < 1) moving = requestAnimationFrame(next);
  };
  moving = requestAnimationFrame(next);
}
for (const b of boxes) b.addEventListener('change', () => { hide(boxes.filter(b => !b.checked).map(b => b.value)); noteLook(); });
new ResizeObserver(() => drawAll()).observe(list);

// --- Curves
function plot(kind, title, lines, scale, ticks) {
  const figure = find('.curves .' + kind), svg = figure.querySelector('svg'), all = Object.values(lines).flat();
  figure.querySelector('figcaption').textContent = title;
  svg.replaceChildren();
  figure.hidden = all.length < 2;
  if (figure.hidden) return;
  const last = Math.max(1, ...all.map(([step]) => step)), [low, high] = ticks(all.map(([, v]) => v));
  drawToFit(svg, 190, width => {
    const left = 44, right = width - 8, bottom = 164, top = 8;
    const x = step => left + step / last * (right - left);
    const y = v => bottom - (scale(Math.min(high, Math.max(low, v))) - scale(low)) / (scale(high) - scale(low) || 1) * (bottom - top);
    for (const share of [0, .25, .5, .75, 1]) {
      const v = kind === 'energy' ? low + (high - low) * share ** 2 : low + (high - low) * share;
      part(svg, 'line', {class: 'axis', x1: left, x2: right, y1: y(v), y2: y(v)});
      part(svg, 'text', {x: left - 6, y: y(v) + 4, 'text-anchor': 'end'}, kind === 'energy' ? +v.toPrecision(1) : v.toFixed(1).replace('-', '−'));
    }
    for (const share of [0, .5, 1]) part(svg, 'text', {x: x(share * last), y: bottom + 18, 'text-anchor': share ? share < 1 ? 'middle' : 'end' : 'start'}, count(Math.round(share * last)));
    for (const [name, line] of Object.entries(lines)) part(svg, 'polyline', {stroke: FAMILIES[name][0], points: line.map(([step, v]) => x(step) + ',' + y(v)).join(' ')});
  });
  svg.setAttribute('aria-label', title + ': ' + Object.entries(lines).filter(([, line]) => line.length).map(([name, line]) => FAMILIES[name][1] + ' ' + line.at(-1)[1].toPrecision(2)).join(_(', ')));
}

// --- The visitor's points
function edited() {
  view.data.footer.textContent = _('{n} points', {n: count(points.length / 2)});
  undo.disabled = !before.length;
  clear.disabled = !points.length;
  drawBack('data');
  drawFront('data', 1);
}
function begin() { before.push(points); drawing = true; return true; }
function extend(u, v) {
  const x = (2 * u - 1) * UNIT, y = (1 - 2 * v) * UNIT, near = k => Math.max(-UNIT, Math.min(UNIT, Math.round(k + (Math.random() + Math.random() - 1) * .06 * UNIT)));
  if (erase.getAttribute('aria-pressed') === 'true') {
    const kept = [];
    for (let i = 0; i < points.length; i += 2) if (Math.hypot(points[i] - x, points[i + 1] - y) > ERASER) kept.push(points[i], points[i + 1]);
    points = Int16Array.from(kept);
  } else {
    const room = Math.min(3, props.most_points - points.length / 2);
    points = Int16Array.from([...points, ...Array.from({length: Math.max(0, room)}, () => [near(x), near(y)]).flat()]);
  }
  edited();
}
// One drawing is on its way at a time: what the visitor draws meanwhile follows when the page shows it.
function send() {
  drawing = false;
  waiting = sent !== null && performance.now() - sentAt < 5000;
  if (waiting) return;
  sent = encode(new Uint8Array(points.buffer)); sentAt = performance.now();
  trigger('input', {points: sent});
}
function take(v) {  // the points of a value, unless the visitor has drawn since
  if (v.own && sent !== null && v.points !== sent) return;
  sent = null;
  if (v.own && waiting) send();
  else if (!drawing) points = unpack(v.points);
}
function set(next) { points = next; edited(); send(); }
function takeBack() { if (before.length) set(before.pop()); }
function clearAll() { if (points.length) { before.push(points); set(new Int16Array(0)); } }
onStroke(view.data.canvas, begin, extend, send);
view.data.canvas.addEventListener('blur', () => { cross = null; edited(); });
erase.addEventListener('click', () => erase.setAttribute('aria-pressed', erase.getAttribute('aria-pressed') !== 'true'));
undo.addEventListener('click', takeBack);
clear.addEventListener('click', clearAll);
view.data.canvas.addEventListener('keydown', e => {
  const step = ARROWS[e.key];
  cross = cross || [.5, .5];
  if (step) cross = cross.map((k, i) => Math.min(.98, Math.max(.02, k + .03 * step[i])));
  else if (e.key === ' ') { begin(); extend(...cross); send(); }
  else if (e.key === 'Delete') clearAll();
  else if (e.key === 'Backspace') takeBack();
  else return;
  e.preventDefault();
  edited();
});

/** @param {{points: string, own: boolean, note: string, step: number, live: boolean, rates?: string, large?: string, hidden?: string, panels: string, curves: string, turn: number, message: string}} v */
function load(v) {
  box.hidden = !v || !!v.message;
  if (box.hidden) { value = null; return; }
  value = v;
  panels = JSON.parse(v.panels);
  if (v.large !== undefined) { choose(v.large || 'data', !!v.large); hide(v.hidden.split(',')); }
  take(v);
  find('.step').textContent = v.note || _('Step {step}', {step: count(v.step)});
  find('.step').setAttribute('aria-live', v.live ? 'off' : 'polite');
  for (const name of NAMES.slice(1)) {
    const panel = panels[name] || {}, {error, footer} = view[name];
    error.hidden = !panel.broken;
    error.textContent = panel.broken || '';
    view[name].from = view[name].samples;
    view[name].samples = panel.samples ? unpack(panel.samples) : null;
    const facts = [];
    if (panel.energy != null) facts.push(_('energy distance {value}', {value: panel.energy.toFixed(3).replace('-', '−')}));
    if (panel.nats != null) facts.push(_('log-likelihood {value}', {value: panel.nats.toFixed(2).replace('-', '−')}));
    if (panel.modes != null) facts.push(_('{n} of 8 modes', {n: panel.modes}));
    footer.textContent = facts.join(' · ');
  }
  edited();
  const smooth = v.live && !still.matches;
  drawAll(smooth ? 0 : 1);
  if (smooth) move();
  const curves = JSON.parse(v.curves);
  plot('energy', _('Energy distance to held-out points (0: as near as the points themselves)'), curves.energy || {}, v => Math.sqrt(Math.max(0, v)), values => [0, Math.min(.5, Math.max(.01, ...values))]);
  plot('nats', _('Log-likelihood of held-out points, nats per point'), curves.nats || {}, v => v, values => [Math.max(Math.min(...values), Math.max(...values) - 4), Math.max(...values)]);
  find('.key').hidden = !Object.keys(panels).length;
}
choose('data', false);
onValue(load);
