const box = find('.gallery'), poster = find('.poster'), figure = find('figure'), svg = find('svg');
const KINDS = {r: 'real', g: 'generated', '?': ''};
let tiles = [];

function build(n) {
  tiles = Array.from({length: n}, (_, i) => {
    const tile = props.pick ? makeButton('tile', '', () => trigger('input', {index: i})) : make('div', 'tile');
    tile.append(make('canvas'), make('span', 'fill'), make('span', 'under'));
    return tile;
  });
  box.replaceChildren(...tiles);
}
/** @param {Sheet & {across: number, kinds: string, labels: string, scores: string, histogram: string, visitor_choice: number, discriminator_choice: number}} v */
function load(v) {
  poster.hidden = !!v || !props.poster;
  if (!v && props.poster) poster.src = props.poster;
  box.setAttribute('aria-label', props.name);
  box.classList.toggle('pick', !!props.pick);
  if (!v || !v.source) { box.replaceChildren(); tiles = []; figure.hidden = true; return; }
  openSheet(v, image => {
    if (tiles.length !== v.n) build(v.n);
    box.style.setProperty('--across', v.across);
    box.style.setProperty('--narrow', Math.min(v.n, 7));
    const scores = v.scores ? v.scores.split(' ').map(Number) : [], labels = v.labels.split('\n');
    const histogram = v.histogram ? JSON.parse(v.histogram) : null, answered = v.visitor_choice !== undefined;
    const revealed = answered || v.kinds.includes('r');
    const text = score => signed(score, histogram.edges);
    const low = histogram && histogram.edges[0], high = histogram && histogram.edges.at(-1);
    tiles.forEach((tile, i) => {
      const [canvas, fill, under] = tile.children, kind = KINDS[v.kinds[i]];
      drawCell(canvas, image, v, i);
      tile.className = `tile ${kind} ${revealed ? 'revealed' : ''}`;
      fill.hidden = !histogram || !scores.length;
      if (histogram) fill.style.setProperty('--share', Math.min(1, Math.max(.02, (scores[i] - low) / (high - low))));
      under.textContent = scores.length ? (answered ? kind + ' ' : '') + text(scores[i]) : '';
      tile.querySelectorAll('.badge').forEach(b => b.remove());
      if (v.visitor_choice === i) tile.append(make('span', 'badge visitor', 'you'));
      if (v.discriminator_choice === i) tile.append(make('span', 'badge discriminator', 'discriminator'));
      const label = labels[i] + (scores.length ? ', relative score ' + text(scores[i]) : '');
      describe(canvas, 'img', label);
      tile.title = label;
      if (props.pick) { tile.ariaLabel = label; tile.disabled = answered; }
    });
    figure.hidden = !histogram || props.pick;
    if (!figure.hidden) scoreHistogram(svg, histogram, scores.map((score, i) => ({score, kind: KINDS[v.kinds[i]]})));
  });
}
onValue(load);
