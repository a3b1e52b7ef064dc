const box = find('.gallery'), poster = find('.poster'), message = find('.message'), figure = find('figure'), svg = find('svg');
const KINDS = {r: 'real', g: 'made', '?': ''};
let tiles = [], newest = null;

function build(n) {
  tiles = Array.from({length: n}, (_, i) => {
    const tile = make(props.pick ? 'button' : 'div', 'tile');
    tile.append(make('canvas'), make('span', 'fill'), make('span', 'under'));
    if (props.pick) {
      tile.type = 'button';
      tile.addEventListener('click', () => trigger('input', {index: i}));
    }
    return tile;
  });
  box.replaceChildren(...tiles);
}
function load() {
  const v = newest = props.value;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  poster.hidden = !!v || !props.poster;
  if (!v && props.poster) poster.src = props.poster;
  box.setAttribute('aria-label', props.name);
  box.classList.toggle('pick', !!props.pick);
  if (!v || !v.source) { box.replaceChildren(); tiles = []; figure.hidden = true; return; }
  openSheet(v, () => newest === v, image => {
    if (tiles.length !== v.n) build(v.n);
    box.style.setProperty('--across', v.across);
    box.style.setProperty('--narrow', Math.min(v.n, 7));
    const scores = v.scores ? v.scores.split(' ').map(Number) : [], labels = v.labels.split('\n');
    const ground = v.hills ? JSON.parse(v.hills) : null, told = v.chosen !== undefined || v.kinds.includes('r');
    const said = score => signed(score, ground.edges);
    const low = ground && ground.edges[0], high = ground && ground.edges.at(-1);
    tiles.forEach((tile, i) => {
      const [canvas, fill, under] = tile.children, kind = KINDS[v.kinds[i]];
      drawCell(canvas, image, v, i);
      tile.className = `tile ${kind} ${told ? 'told' : ''}`;
      fill.hidden = !ground || !scores.length;
      fill.style.display = fill.hidden ? 'none' : '';
      if (ground) fill.style.setProperty('--at', Math.min(1, Math.max(.02, (scores[i] - low) / (high - low))));
      under.textContent = scores.length ? (v.chosen !== undefined ? kind.replace('made', 'generated') + ' ' : '') + said(scores[i]) : '';
      tile.querySelectorAll('.badge').forEach(b => b.remove());
      if (v.chosen === i) tile.append(make('span', 'badge yours', 'you'));
      if (v.its === i) tile.append(make('span', 'badge its', 'discriminator'));
      const label = labels[i] + (scores.length ? ', score ' + said(scores[i]) : '');
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', label);
      tile.title = label;
      if (props.pick) { tile.setAttribute('aria-label', label); tile.disabled = v.chosen !== undefined; }
    });
    figure.hidden = !ground || props.pick;
    if (!figure.hidden) drawHistograms(svg, ground, scores.map((s, i) => [s, KINDS[v.kinds[i]]]));
  });
}
watch('value', load);
load();
