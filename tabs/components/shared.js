// Precedes each component's script. Both together are the body of a function of (element, props, trigger, watch).
/** @typedef {{n: number, w: number, h: number, c: number, pixels: string}} Raw  n pictures: base64 of (n, h, w, c) bytes */
/** @typedef {{w: number, h: number, n: number, columns: number, source: string}} Sheet  n pictures in one PNG */
/** @typedef {{edges: number[], real: number[], generated: number[], n?: number[]}} Histogram  shares of two sets of n between edges */
/** @typedef {{name: string, points: {x: number, y: number}[]}} Line  a curve of a plot */
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const find = selector => element.querySelector(selector);
const message = find('.message');
let oldestTurn = 0, loads = 0, shownLoad = 0;  // oldestTurn: values of earlier turns are dropped

// Calls load(value) with the present value and with each that follows, except for those that were still on their way when the
// visitor did something else: their turn is lower. A value may be {message: a sentence}, shown in place of everything else.
function onValue(load) {
  const update = () => {
    const v = props.value;
    if (v && v.turn < oldestTurn) return;
    if (v) oldestTurn = v.turn || 0;
    loads++;
    if (!v || !v.source) shownLoad = loads;  // pictures that are still being decoded are no longer wanted
    if (message) {
      message.hidden = !(v && v.message);
      message.textContent = (v && v.message) || '';
    }
    load(v);
  };
  watch('value', update);
  update();
}

// Decodes the PNG of a Sheet. onOpen is called unless a later value is shown already. It need not be the newest: a slow
// machine may get the next value before this one is decoded.
function openSheet(v, onOpen) {
  const load = loads, image = new Image();
  image.onload = () => {
    if (load < shownLoad) return;
    shownLoad = load;
    onOpen(image);
  };
  image.src = v.source;
}

// Lets a button move a slider through its frames, with draw() after each step. pace() -> {last: number of the last frame,
// delay: milliseconds, bounce: whether it goes back and forth until it is stopped}. Returns a function that stops it.
function playback(button, range, draw, pace) {
  let timer = null;
  function show(text, label) { button.textContent = text; button.setAttribute('aria-label', label); }
  function stop() { clearInterval(timer); timer = null; show('▶', _('Play')); }
  button.addEventListener('click', () => {
    if (timer) return stop();
    const {last, delay, bounce} = pace();
    let direction = 1;
    if (!bounce && +range.value >= last) range.value = 0;
    show('❚❚', _('Pause'));
    timer = setInterval(() => {
      const next = +range.value + direction, atEnd = next < 0 || next > last;
      if (!element.isConnected || atEnd && !bounce) return stop();
      if (atEnd) direction = -direction;
      range.value = +range.value + direction;
      draw();
    }, delay);
    draw();
  });
  range.addEventListener('input', () => {
    stop();
    range.value = Math.min(range.value, pace().last);  // a stopped run has no frames beyond
    draw();
  });
  return stop;
}

// Colours a slider up to its thumb.
function fillTrack(range) {
  const {min, max, value} = range;
  range.style.setProperty('--filled', +max > +min ? (value - min) / (max - min) : 1);
}

// Where a pointer is on an element: [x, y] from 0 to 1, from the top left.
function positionIn(target, e) {
  const r = target.getBoundingClientRect();
  return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height];
}

// Strokes with a mouse, a finger or a pen: begin() -> whether one may begin; extend(x, y), each from 0 to 1; end().
function onStroke(canvas, begin, extend, end) {
  let drawing = false;
  canvas.addEventListener('pointerdown', e => {
    if (!begin()) return;
    drawing = true;
    canvas.setPointerCapture(e.pointerId);
    extend(...positionIn(canvas, e));
  });
  canvas.addEventListener('pointermove', e => { if (drawing) extend(...positionIn(canvas, e)); });
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { if (drawing) { drawing = false; end(); } });
}

function decode(base64) { return Uint8Array.from(atob(base64 || ''), s => s.charCodeAt(0)); }
function encode(bytes) { return btoa(Array.from(bytes, k => String.fromCharCode(k)).join('')); }

function resize(canvas, w, h) {
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
}

// Draws each picture of a Raw onto a canvas of its size.
function drawRaw(canvases, v) {
  const bytes = atob(v.pixels), image = new ImageData(v.w, v.h), out = image.data, [green, blue] = v.c > 1 ? [1, 2] : [0, 0];
  let i = 0;
  for (const canvas of canvases) {
    for (let j = 0; j < out.length; i += v.c) {
      out[j++] = bytes.charCodeAt(i);
      out[j++] = bytes.charCodeAt(i + green);
      out[j++] = bytes.charCodeAt(i + blue);
      out[j++] = 255;
    }
    resize(canvas, v.w, v.h);
    canvas.getContext('2d').putImageData(image, 0, 0);
  }
}

// Draws picture number i of a Sheet onto a canvas.
function drawCell(canvas, image, v, i) {
  resize(canvas, v.w, v.h);
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(image, (i % v.columns) * v.w, Math.floor(i / v.columns) * v.h, v.w, v.h, 0, 0, v.w, v.h);
}

// Says a text to those who do not see the page: of a run only its end, not every step.
let voice = null;
function announce(text) {
  if (!voice) {
    voice = make('p', 'spoken');
    voice.setAttribute('role', 'status');
    element.append(voice);
  }
  voice.textContent = text;
}

// Draws an SVG in pixels of the screen, so that its text has the size of the page's: draw(width) now and when that changes.
const redraw = new WeakMap();
const widths = new ResizeObserver(entries => entries.forEach(({target}) => redraw.get(target)?.()));
function drawToFit(svg, height, draw) {
  let drawn = 0;
  const update = () => {
    const width = Math.round(svg.getBoundingClientRect().width) || drawn || 480;
    if (width === drawn) return;
    drawn = width;
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.replaceChildren();
    draw(width);
  };
  redraw.set(svg, update);
  widths.observe(svg);
  update();
}

function make(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function makeButton(className, text, onClick) {
  const e = make('button', className, text);
  e.type = 'button';
  e.addEventListener('click', onClick);
  return e;
}

function legendItem(className, colour, text) {
  const item = make('span', className, text), mark = make('i');
  mark.style.background = colour;
  item.prepend(mark);
  return item;
}

// Says what an element is to those who do not see it.
function describe(e, role, label) { e.setAttribute('role', role); e.setAttribute('aria-label', label); }

function part(svg, tag, attributes, text) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  svg.append(e);
  return e;
}

function count(n) { return n.toLocaleString('en'); }
function visible(symbol) { return symbol === ' ' ? '␣' : symbol === '\n' ? '↵' : symbol; }
function percent(p) { return p >= .0995 ? Math.round(100 * p) + ' %' : p >= .001 ? (100 * p).toFixed(1) + ' %' : '< 0.1 %'; }

// A score as text, with as many digits as the axis from edges[0] to edges.at(-1) needs: the scale of scores is arbitrary.
function signed(score, edges) {
  const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(edges.at(-1) - edges[0] || 1))));
  const text = score.toFixed(digits);
  return +text > 0 ? '+' + text : +text ? text.replace('-', '\u2212') : '0';
}

// Draws a Histogram of the scores of real and of generated pictures on one axis, 100 high. marks: {score, kind} of single
// pictures, kind is a CSS class; format: a score as text.
function scoreHistogram(svg, {edges, real, generated, n: sizes = []}, marks = [], format = signed) {
  const n = edges.length - 1, low = edges[0], span = edges[n] - low || 1, baseline = 80;
  const top = Math.max(...real, ...generated, 1e-6);
  drawToFit(svg, 100, width => {
    const right = width - 12, x = score => 12 + Math.min(1, Math.max(0, (score - low) / span)) * (right - 12);
    for (const [name, shares] of Object.entries({generated, real})) {
      const line = shares.map((s, i) => `L${x(edges[i])} ${baseline - s / top * 66}H${x(edges[i + 1])}`).join('');
      part(svg, 'path', {class: 'histogram ' + name, d: `M12 ${baseline}${line}V${baseline}Z`});
    }
    part(svg, 'line', {class: 'axis', x1: 12, x2: right, y1: baseline, y2: baseline});
    if (sizes[1]) part(svg, 'text', {class: 'sizes', x: right, y: 10, 'text-anchor': 'end'}, _('N = {real} and {generated}', {real: count(sizes[0]), generated: count(sizes[1])}));
    for (const score of [low, low + span / 2, edges[n]]) {
      const anchor = score === low ? 'start' : score === edges[n] ? 'end' : 'middle';
      part(svg, 'text', {x: x(score), y: baseline + 17, 'text-anchor': anchor}, format(score, edges));
    }
    for (const {score, kind} of marks) part(svg, 'line', {class: 'mark ' + kind, x1: x(score), x2: x(score), y1: kind === 'yours' ? 8 : baseline - 10, y2: baseline + 4});
  });
}
