const COLOURS = ['#e0722c', '#2f8f5b', '#3b82f6', '#b45cd6', '#c99a1c', '#e0507a'];
const figure = find('figure'), svg = find('svg'), legend = find('figcaption');
const LEFT = 66, TOP = 12, BOTTOM = 258;  // left of the axis: its numbers and, upright, its title

/** @param {{lines: Line[], floor: number, x: string, y: string}} v */
function load(v) {
  const points = v && v.lines ? v.lines.flatMap(line => line.points) : [];
  figure.hidden = !points.length;
  legend.replaceChildren();
  if (!points.length) return;
  const xs = points.map(p => Math.log2(p.x)), ys = [...points.map(p => p.y), v.floor].map(Math.log10);
  const x0 = Math.min(...xs), x1 = Math.max(...xs, x0 + 1), y0 = Math.min(...ys) - .05, y1 = Math.max(...ys, y0 + .1) + .05;
  drawToFit(svg, 300, width => {
    const right = width - 10;
    const x = value => LEFT + (Math.log2(value) - x0) / (x1 - x0) * (right - LEFT);
    const y = value => BOTTOM - (Math.log10(value) - y0) / (y1 - y0) * (BOTTOM - TOP);
    for (let k = Math.ceil(x0); k <= x1; k++) {
      part(svg, 'line', {class: 'grid', x1: x(2 ** k), x2: x(2 ** k), y1: TOP, y2: BOTTOM});
      part(svg, 'text', {x: x(2 ** k), y: BOTTOM + 18, 'text-anchor': 'middle'}, 2 ** k);
    }
    for (let k = Math.floor(y0); k <= y1; k++) for (const m of y1 - y0 > 1.5 ? [1, 3] : [1, 2, 3, 5, 7]) {
      const value = m * 10 ** k;
      if (Math.log10(value) < y0 || Math.log10(value) > y1) continue;
      part(svg, 'line', {class: 'grid', x1: LEFT, x2: right, y1: y(value), y2: y(value)});
      part(svg, 'text', {x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end'}, +value.toPrecision(2));
    }
    part(svg, 'text', {x: (LEFT + right) / 2, y: BOTTOM + 38, 'text-anchor': 'middle'}, v.x);
    part(svg, 'text', {x: 12, y: (TOP + BOTTOM) / 2, 'text-anchor': 'middle', transform: `rotate(-90 12 ${(TOP + BOTTOM) / 2})`}, v.y);
    part(svg, 'line', {class: 'floor', x1: LEFT, x2: right, y1: y(v.floor), y2: y(v.floor)});
    part(svg, 'text', {x: right, y: y(v.floor) - 5, 'text-anchor': 'end'}, _('floor: real against real pictures'));
    v.lines.forEach(({name, points}, i) => {
      part(svg, 'polyline', {points: points.map(p => x(p.x) + ',' + y(p.y)).join(' '), stroke: COLOURS[i % COLOURS.length]});
      for (const p of points) part(svg, 'circle', {cx: x(p.x), cy: y(p.y), r: 4, fill: COLOURS[i % COLOURS.length]});
    });
  });
  legend.append(...v.lines.map(({name}, i) => legendItem('', COLOURS[i % COLOURS.length], name)));
  svg.setAttribute('aria-label', _('{y} against {x}. {lines}', {y: v.y, x: v.x, lines: v.lines.map(({name, points}) => name + ': ' + points.map(p => _('{y} at {x}', p)).join(_(', '))).join('. ')}));
}
onValue(load);
