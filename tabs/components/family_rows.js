const box = find('.rows');
let rows = new Map();  // name -> {element, title, facts, samples, notes, tiles, source, begun, shown}

function build(list) {
  rows = new Map(list.map(({name}) => {
    const element = make('section', 'row'), side = make('div'), title = make('h4'), facts = make('dl', 'facts');
    const samples = make('div', 'samples'), notes = make('div', 'notes');
    element.setAttribute('role', 'listitem');
    side.append(title, facts);
    element.append(side, samples, notes);
    return [name, {element, title, facts, samples, notes, tiles: [], source: '', begun: 0, shown: 0}];
  }));
  box.replaceChildren(...[...rows.values()].map(row => row.element));
}
function draw(row, image, {n, w, h}) {
  row.tiles.forEach(({canvas}, i) => drawCell(canvas, image, {w, h, columns: n}, i));
}
function fill(row, v, source) {
  const {title, state, facts, n = 0, values = [], labels = []} = v;
  row.element.className = `row ${state}`;
  row.element.setAttribute('aria-busy', state === 'running');
  row.title.textContent = title;
  row.facts.replaceChildren(...facts.map(([name, value]) => {
    const fact = make('div');
    fact.append(make('dt', '', name), make('dd', '', value));
    return fact;
  }));
  row.notes.replaceChildren(...[v.problem, v.note, v.likelihood].filter(Boolean).map(text => make('p', '', text)));
  if (v.whole) {
    const image = make('img', 'whole');
    image.alt = _('{family}: samples from the end of its training', {family: title});
    image.src = source;
    row.tiles = [];
    row.samples.replaceChildren(...source ? [image] : []);
    return;
  }
  if (row.tiles.length !== n) {
    row.tiles = Array.from({length: n}, () => {
      const figure = make('figure'), canvas = make('canvas'), caption = make('figcaption');
      figure.append(canvas, caption);
      return {figure, canvas, caption};
    });
    row.samples.replaceChildren(...row.tiles.map(({figure}) => figure));
    row.source = '';
  }
  row.samples.style.setProperty('--across', Math.min(n || 1, 8));
  row.tiles.forEach(({canvas, caption}, i) => {
    const bits = values[i] ? _(', {bits} bits per pixel', {bits: values[i]}) : '';
    describe(canvas, 'img', labels[i] || _('{family}: sample {i} of {n}', {family: title, i: i + 1, n}) + bits);
    caption.textContent = values[i] || '';
  });
  if (!source || source === row.source) return;
  row.source = source;
  const begun = ++row.begun, image = new Image();
  image.onload = () => {  // a slow machine may get the next one before this is decoded
    if (begun < row.shown || row.tiles.length !== n) return;
    row.shown = begun;
    draw(row, image, v);
  };
  image.src = source;
}
/**
 * @typedef {{name: string, title: string, state: string, facts: string[][], n: number, w: number, h: number, note: string,
 *   likelihood: string, values: string[], labels: string[], problem: string, whole: boolean}} Row
 * @param {{rows: string, pictures: Object<string, string>, turn: number}} v  rows: JSON of Row[]
 */
function load(v) {
  if (!v || !v.rows) { box.replaceChildren(); rows = new Map(); return; }
  const list = JSON.parse(v.rows);
  if (list.map(({name}) => name).join() !== [...rows.keys()].join()) build(list);
  for (const row of list) fill(rows.get(row.name), row, v.pictures[row.name]);
  if (list.some(({state}) => state === 'stopped')) announce(_('Stopped.'));
  else if (list.every(({state}) => !['waiting', 'running', 'stored'].includes(state))) announce(_('All families have answered.'));
}
onValue(load);
