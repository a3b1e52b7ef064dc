const COLOURS = ['#3b82f6', '#b45cd6'];
const frames = find('.frames'), canvas = find('.frames canvas'), reference = find('.reference'), controls = find('.playback'), range = find('input');
const play = find('.play'), plot = find('.plot'), ticks = find('.ticks'), out = find('output'), score = find('.score');
let value = null, image = null, facts = null, cursor = null;
const stop = playback(play, range, draw, () => ({last: +range.max, delay: Math.min(250, Math.max(50, 6000 / (+range.max || 1)))}));

function draw() {
  const frame = value.live ? 0 : +range.value, {w, h, per, across} = value, rows = Math.ceil(per / across);
  const width = across * (w + 1) - 1, height = rows * (h + 1) - 1;
  resize(canvas, width, height);
  canvas.style.aspectRatio = width + ' / ' + height;
  const c = canvas.getContext('2d');
  c.imageSmoothingEnabled = false;
  for (let i = 0; i < per; i++) {
    const [column, row] = value.by_column ? [Math.floor(i / rows), i % rows] : [i % across, Math.floor(i / across)];
    const cell = frame * per + i;
    c.drawImage(image, cell % value.columns * w, Math.floor(cell / value.columns) * h, w, h, column * (w + 1), row * (h + 1), w, h);
  }
  const number = facts.numbers[frame];
  fillTrack(range);
  const x = range.max > 0 ? 100 * range.value / range.max : 0;
  cursor.setAttribute('x1', x); cursor.setAttribute('x2', x);
  const total = value.live ? value.total : facts.numbers.at(-1);
  const parts = [make('span', '', _('{unit} {number} of {total}', {unit: facts.unit, number: count(number), total: count(total)}))];
  facts.lines.forEach(({name, points}, i) => {
    const point = points.findLast(({x}) => x <= number);  // none before the first was measured
    if (points.length) parts.push(legendItem('', COLOURS[i], `${name} ${point ? point.y.toPrecision(2) : '–'}`));
  });
  out.replaceChildren(...parts);
  canvas.setAttribute('aria-label', _('{label}. {position}', {label: value.label, position: parts[0].textContent}));
  score.hidden = !facts.edges;
  if (facts.edges) scoreHistogram(score.querySelector('svg'), {edges: facts.edges, real: facts.real[frame], generated: facts.generated[frame]});
}
function position(number) {  // of a step on the slider, 0 to 100: frames are not evenly spaced in steps
  const {numbers} = facts, last = range.max;
  if (value.live || !(last > 0)) return 100 * number / Math.max(1, value.total || 1);
  let k = numbers.findIndex(n => n >= number);
  if (k <= 0) return k < 0 ? 100 : 0;
  return 100 * (k - 1 + (number - numbers[k - 1]) / (numbers[k] - numbers[k - 1])) / last;
}
function curves() {
  const all = facts.lines.flatMap(({points}) => points.map(({y}) => y)).sort((a, b) => a - b);
  const low = all[Math.floor(.02 * all.length)] || 0, high = all[Math.ceil(.98 * (all.length - 1))] || 1;  // spikes may leave the plot
  plot.replaceChildren();
  facts.lines.forEach(({points}, i) => part(plot, 'polyline', {stroke: COLOURS[i], points: points.map(({x, y}) =>
    position(x) + ',' + Math.min(102, Math.max(-2, 96 - 92 * (y - low) / (high - low || 1)))).join(' ')}));
  find('.high').textContent = all.length ? high.toPrecision(2) : '';
  find('.low').textContent = all.length ? low.toPrecision(2) : '';
  ticks.replaceChildren(...[...new Set([0, .25, .5, .75, 1].map(share => Math.round(share * range.max)))].map(k => {
    const tick = make('span', '', (k ? '' : facts.unit + ' ') + count(value.live ? k : facts.numbers[k]));
    tick.style.left = 100 * (range.max > 0 ? k / range.max : 0) + '%';
    return tick;
  }));
  cursor = part(plot, 'line', {y1: 0, y2: 100});
}

/**
 * @typedef {{unit: string, numbers: number[], lines: Line[], edges: number[], real: number[][],
 *   generated: number[][]}} Facts  JSON
 * @param {Sheet & {per: number, across: number, by_column: boolean, facts: string, label: string, reference: Raw, live: boolean,
 *   total: number, turn: number}} v
 */
function load(v) {
  stop();
  reference.hidden = !(v && v.reference);
  if (v && v.reference) {
    const canvas = reference.firstElementChild;
    drawRaw([canvas], v.reference);
    canvas.style.aspectRatio = v.reference.w + ' / ' + v.reference.h;
  }
  if (!v || !v.source) { controls.hidden = frames.hidden = true; value = image = null; return; }
  openSheet(v, opened => {
    image = opened; value = v; facts = JSON.parse(v.facts);
    frames.hidden = controls.hidden = false;
    frames.classList.toggle('one', v.per === 1);
    frames.querySelector('figcaption').textContent = v.label;
    range.disabled = play.disabled = !!v.live;
    range.max = v.live ? v.total : facts.numbers.length - 1;
    range.value = v.live ? facts.numbers.at(-1) : range.max;
    curves();
    draw();
    if (!v.live) announce(out.textContent);
  });
}
onValue(load);
