const COLOURS = ['#e0722c', '#2f8f5b', '#3b82f6', '#b45cd6', '#c99a1c', '#e0507a'];
const figure = find('figure'), svg = find('svg'), caption = find('figcaption');
const LEFT = 46, TOP = 26, BOTTOM = 278;  // above them the title of the axis
let chosen = -1;

function duration(seconds) { return seconds < 1 ? `${+(1000 * seconds).toPrecision(3)} ms` : `${+seconds.toPrecision(3)} s`; }
function choose(i) {
  chosen = i;
  svg.querySelectorAll('.point').forEach(e => e.setAttribute('aria-pressed', +e.dataset.index === i));
  trigger('input', {index: i});
}
/**
 * @typedef {{title: string, x: number, y: number, size: number, colour: number}} Point
 * @param {{points: string, floor: number, x: string, y: string, size: string, missing: string}} v  points: JSON of Point[]
 */
function load(v) {
  const all = v && v.points ? JSON.parse(v.points) : [], drawn = all.filter(p => p.x > 0 && p.y > 0);
  figure.hidden = !all.length;
  chosen = -1;
  if (!all.length) return;
  caption.textContent = [v.size, v.missing].filter(Boolean).join(' ');
  svg.toggleAttribute('hidden', !drawn.length);
  if (!drawn.length) return;
  const xs = drawn.map(p => Math.log10(p.x)), ys = [...drawn.map(p => p.y), ...(v.floor > 0 ? [v.floor] : [])].map(Math.log10);
  const x0 = Math.floor(Math.min(...xs) - .05), x1 = Math.ceil(Math.max(...xs, x0 + 1) + .05);
  const y0 = Math.min(...ys) - .12, y1 = Math.max(...ys, y0 + .1) + .12;
  drawToFit(svg, 330, width => {
    const right = width - 10;
    const x = value => LEFT + (Math.log10(value) - x0) / (x1 - x0) * (right - LEFT);
    const y = value => BOTTOM - (Math.log10(value) - y0) / (y1 - y0) * (BOTTOM - TOP);
    for (let k = x0; k <= x1; k++) {
      part(svg, 'line', {class: 'grid', x1: x(10 ** k), x2: x(10 ** k), y1: TOP, y2: BOTTOM});
      const anchor = k === x1 ? 'end' : 'middle';
      part(svg, 'text', {x: x(10 ** k), y: BOTTOM + 18, 'text-anchor': anchor}, duration(10 ** k));
    }
    for (let k = Math.floor(y0); k <= y1; k++) for (const m of y1 - y0 > 1.5 ? [1, 3] : [1, 2, 3, 5, 7]) {
      const value = m * 10 ** k;
      if (Math.log10(value) < y0 || Math.log10(value) > y1) continue;
      part(svg, 'line', {class: 'grid', x1: LEFT, x2: right, y1: y(value), y2: y(value)});
      part(svg, 'text', {x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end'}, +value.toPrecision(2));
    }
    part(svg, 'text', {x: (LEFT + right) / 2, y: BOTTOM + 40, 'text-anchor': 'middle'}, v.x);
    part(svg, 'text', {x: 0, y: 12}, v.y);
    if (v.floor > 0) {
      part(svg, 'line', {class: 'floor', x1: LEFT, x2: right, y1: y(v.floor), y2: y(v.floor)});
      part(svg, 'text', {x: right, y: y(v.floor) - 5, 'text-anchor': 'end'}, _('floor: real against real pictures'));
    }
    all.forEach((p, i) => {
      if (!drawn.includes(p)) return;
      const point = part(svg, 'g', {class: 'point', tabindex: 0, 'data-index': i, 'aria-pressed': i === chosen});
      const text = p.title + (p.size ? ` · ${percent(p.size)}` : ''), colour = COLOURS[(p.colour || 0) % COLOURS.length];
      const r = 4 + 12 * (p.size || 0), left = x(p.x) + r + 5 + 8 * text.length > right;
      part(point, 'circle', {class: 'target', cx: x(p.x), cy: y(p.y), r: 20});
      part(point, 'circle', {cx: x(p.x), cy: y(p.y), r, fill: colour, stroke: colour});
      part(point, 'text', {x: x(p.x) + (left ? -r - 5 : r + 5), y: y(p.y) + 4, 'text-anchor': left ? 'end' : 'start'}, text);
      const size = p.size ? `, ${percent(p.size)}` : '';
      describe(point, 'button', `${p.title}: ${duration(p.x)}, FID ${+p.y.toPrecision(4)}${size}`);
      point.addEventListener('click', () => choose(i));
      point.addEventListener('keydown', e => {
        if (e.key !== 'Enter' && e.key !== ' ') return;
        e.preventDefault();
        choose(i);
      });
    });
  });
  svg.setAttribute('aria-label', `${v.y}; ${v.x}`);
}
onValue(load);
