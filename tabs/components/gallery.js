const box = find('.gallery'), poster = find('.poster'), figure = find('figure'), svg = find('svg');
const KINDS = {real: _('real'), generated: _('generated')};
let tiles = [], kinds = '';

function build(n) {
  tiles = Array.from({length: n}, (_, i) => {
    const tile = props.pick ? makeButton('tile', '', () => { if (tiles[i].ariaDisabled !== 'true') trigger('input', {index: i}); }) : make('div', 'tile');
    tile.append(make('canvas'), make('span', 'fill'), make('span', 'under'));
    return tile;
  });
  box.replaceChildren(...tiles);
}
/**
 * @typedef {{kind: string, label: string, score: number}} Picture  kind: real, generated or '', not revealed
 * @param {Raw & {across: number, pictures: Picture[], moving: boolean, histogram: string, visitor_choice: number,
 *   discriminator_choice: number}} v
 */
function load(v) {
  poster.hidden = !!v || !props.poster;
  if (!v && props.poster) poster.src = props.poster;
  box.setAttribute('aria-label', props.name);
  box.classList.toggle('pick', !!props.pick);
  if (!v || !v.pixels) { box.replaceChildren(); tiles = []; kinds = ''; figure.hidden = true; return; }
  const newKinds = v.pictures.map(p => p.kind).join(), follows = v.moving && box.classList.contains('moving');
  if (tiles.length !== v.n) build(v.n);
  drawRaw(tiles.map(tile => tile.firstChild), v);
  if (follows && newKinds === kinds) return;  // at each further step of a slider only the pictures change
  kinds = newKinds;
  box.classList.toggle('moving', !!v.moving);  // the scores of earlier pictures keep their place, unseen
  box.style.setProperty('--across', v.across);
  box.style.setProperty('--narrow', Math.min(v.n, 7));
  const histogram = v.histogram ? JSON.parse(v.histogram) : null, answered = v.visitor_choice !== undefined;
  const revealed = answered || v.pictures.some(p => p.kind === 'real');
  const text = score => signed(score, histogram.edges);
  const low = histogram && histogram.edges[0], high = histogram && histogram.edges.at(-1);
  tiles.forEach((tile, i) => {
    const [canvas, fill, under] = tile.children, {kind, label, score} = v.pictures[i], scored = score !== undefined;
    tile.className = `tile ${kind} ${revealed ? 'revealed' : ''}`;
    if (!v.moving) {
      fill.hidden = !histogram || !scored;
      if (histogram) fill.style.setProperty('--share', Math.min(1, Math.max(.02, (score - low) / (high - low))));
      under.textContent = scored ? (answered ? KINDS[kind] + ' ' : '') + text(score) : '';
    }
    tile.querySelectorAll('.badge').forEach(b => b.remove());
    if (v.visitor_choice === i) tile.append(make('span', 'badge visitor', _('you')));
    if (v.discriminator_choice === i) tile.append(make('span', 'badge discriminator', _('discriminator')));
    const title = scored ? _('{label}, relative score {score}', {label, score: text(score)}) : label;
    describe(canvas, 'img', title);
    tile.title = title;
    if (props.pick) { tile.ariaLabel = title; tile.ariaDisabled = answered; }
  });
  if (!v.moving) {
    figure.hidden = !histogram || props.pick;
    if (!figure.hidden) scoreHistogram(svg, histogram, v.pictures);
  }
  announce(_('{name}: {n}', {name: props.name, n: v.n}));
}

// Each move of the sliders is a request of this script. For an event of Gradio's the page would look up each of its inputs, tell
// all inputs that it has begun and ended, and the server would check them one by one: that takes longer than the pictures.
let arrivals = 0, code = null, asking = false;
async function follow() {
  if (asking) return;
  asking = true;
  try {
    while (code && element.isConnected) {
      const moved = {shown: props.value?.shown, z: code}, before = arrivals;
      code = null;
      const answer = await server.follow(moved);
      if (answer && answer.pixels && arrivals === before) load(answer);  // what came meanwhile knows all controls
    }
  } catch (e) { /* the event that follows at rest says what is wrong */ }
  asking = false;
}
if (props.follows) document.addEventListener('moved', e => {
  if (!e.target.closest('#' + props.follows) || !props.value?.shown) return;
  code = e.detail;
  follow();
});
onValue(v => { arrivals++; load(v); });
