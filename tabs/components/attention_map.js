const whole = find('.whole'), text = find('.text'), summary = find('.summary'), canvas = find('canvas');
let value = null, maps = '', symbols = [], spans = [], layer = 0, head = -1, selected = -1;  // head -1: the mean of all
const buttons = {};

function weight(i, j) {  // of key j for query i, 0 to 1
  const {n, heads} = value, ofHead = h => maps.charCodeAt(((layer * heads + h) * n + i) * n + j) / 255;
  if (head >= 0) return ofHead(head);
  let sum = 0;
  for (let h = 0; h < heads; h++) sum += ofHead(h);
  return sum / heads;
}
function row(i) { return symbols.map((_, j) => j <= i ? weight(i, j) : 0); }
function colour(w) {  // black, orange, white: lightness grows with the weight, for colour-blind readers too
  const s = Math.sqrt(w);
  return [16 + 240 * Math.min(1, 1.5 * s), 19 + 150 * Math.max(0, 1.6 * s - .35), 28 + 200 * Math.max(0, 2 * s - 1.1)];
}
function drawMap() {
  const {n} = value, scale = 8, c = canvas.getContext('2d');
  canvas.width = canvas.height = n * scale;
  for (let i = 0; i < n; i++) row(i).forEach((w, j) => {
    c.fillStyle = `rgb(${colour(j <= i ? w : 0).map(k => Math.min(255, k)).join(' ')})`;
    c.fillRect(j * scale, i * scale, scale, scale);
  });
  c.strokeStyle = '#5aa9ff';
  c.lineWidth = 2;
  c.strokeRect(1, selected * scale + 1, (selected + 1) * scale - 2, scale - 2);
}
function select(i) {
  selected = i;
  const weights = row(i), highest = Math.max(...weights, 1e-9), total = weights.reduce((a, b) => a + b, 0);
  spans.forEach((span, j) => {
    span.style.setProperty('--weight', j <= i ? (.8 * weights[j] / highest).toFixed(3) : 0);
    span.classList.toggle('selected', j === i);
    span.classList.toggle('future', j > i);
    span.tabIndex = j === i ? 0 : -1;
    span.title = j <= i ? Math.round(100 * weights[j]) + ' %' : '';
  });
  const strongest = [...weights.keys()].sort((j, k) => weights[k] - weights[j]).slice(0, 4).filter(j => weights[j] >= .01);
  const describe = j => i === j ? _('itself') : _('“{symbol}” {distance} back', {symbol: visible(symbols[j]), distance: i - j});
  const listed = strongest.map(j => _('{token} ({share})', {token: describe(j), share: Math.round(100 * weights[j]) + ' %'}));
  const words = {symbol: visible(symbols[i]), tokens: listed.join(_(', ')) || _('no single token much'), share: Math.round(100 * (1 - total)) + ' %'};
  summary.textContent = total < .985 ? _('“{symbol}” attends to {tokens}; {share} goes to tokens further back.', words) : _('“{symbol}” attends to {tokens}.', words);
  drawMap();
}
function update() {
  buttons.layers.forEach((b, k) => b.setAttribute('aria-pressed', k === layer));
  buttons.heads.forEach((b, k) => b.setAttribute('aria-pressed', k - 1 === head));
  select(selected);
}
function choices(name, labels, onChoice) {
  buttons[name] = labels.map((label, k) => makeButton('', label, () => { onChoice(k); update(); }));
  find('.' + name).replaceChildren(...buttons[name]);
}
text.addEventListener('mouseover', e => { const s = e.target.closest('.token'); if (s) select(+s.dataset.i); });
text.addEventListener('click', e => { const s = e.target.closest('.token'); if (s) { select(+s.dataset.i); s.focus(); } });
text.addEventListener('keydown', e => {
  const target = {ArrowLeft: selected - 1, ArrowRight: selected + 1, Home: 0, End: value.n - 1}[e.key];
  if (target === undefined) return;
  e.preventDefault();
  select(Math.min(value.n - 1, Math.max(0, target)));
  spans[selected].focus();
});
canvas.addEventListener('pointermove', e => {
  select(Math.min(value.n - 1, Math.max(0, Math.floor(positionIn(canvas, e)[1] * value.n))));
});
canvas.addEventListener('pointerdown', e => canvas.dispatchEvent(new PointerEvent('pointermove', e)));

/** @param {{symbols: string, n: number, layers: number, heads: number, maps: string}} v */
function load(v) {
  whole.hidden = !(v && v.maps);
  if (whole.hidden) return;
  const first = !value || value.layers !== v.layers || value.heads !== v.heads;
  value = v; maps = atob(v.maps); symbols = JSON.parse(v.symbols);
  if (first) {
    layer = 0; head = -1;
    choices('layers', Array.from({length: v.layers}, (_, k) => '' + (k + 1)), k => { layer = k; });
    choices('heads', [_('mean'), ...Array.from({length: v.heads}, (_, k) => '' + (k + 1))], k => { head = k - 1; });
  }
  spans = symbols.map((symbol, i) => {
    const span = make('span', 'token', symbol === '\n' ? '↵\n' : symbol);
    span.dataset.i = i;
    describe(span, 'button', visible(symbol));
    return span;
  });
  text.replaceChildren(...spans);
  selected = v.n - 1;
  update();
}
onValue(load);
