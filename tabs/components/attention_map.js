const whole = find('.whole'), message = find('.message'), text = find('.text'), says = find('.says'), canvas = find('canvas');
let value = null, maps = '', symbols = [], spans = [], layer = 0, head = -1, at = -1, buttons = {};

function shown(symbol) { return symbol === ' ' ? '␣' : symbol === '\n' ? '↵' : symbol; }
function weight(i, j) {  // of token j for token i, 0 to 1; head -1 is the mean of all
  const {n, heads} = value, one = h => maps.charCodeAt(((layer * heads + h) * n + i) * n + j) / 255;
  if (head >= 0) return one(head);
  let sum = 0;
  for (let h = 0; h < heads; h++) sum += one(h);
  return sum / heads;
}
function row(i) { return symbols.map((_, j) => j <= i ? weight(i, j) : 0); }
function colour(w) {  // black, orange, white: as light as it is strong, whichever colours one sees
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
  c.strokeRect(1, at * scale + 1, (at + 1) * scale - 2, scale - 2);
}
function look(i) {
  at = i;
  const weights = row(i), most = Math.max(...weights, 1e-9), told = weights.reduce((a, b) => a + b, 0);
  spans.forEach((span, j) => {
    span.style.setProperty('--much', j <= i ? (.8 * weights[j] / most).toFixed(3) : 0);
    span.classList.toggle('at', j === i);
    span.classList.toggle('later', j > i);
    span.tabIndex = j === i ? 0 : -1;
    span.title = j <= i ? Math.round(100 * weights[j]) + ' %' : '';
  });
  const best = weights.map((w, j) => [w, j]).sort((a, b) => b[0] - a[0]).slice(0, 4).filter(([w]) => w >= .01);
  const where = j => i === j ? 'itself' : `“${shown(symbols[j])}” ${i - j} back`;
  says.textContent = `“${shown(symbols[i])}” looks at ` + (best.map(([w, j]) => `${where(j)} (${Math.round(100 * w)} %)`).join(', ') || 'nothing shown here') +
    (told < .985 ? `; ${Math.round(100 * (1 - told))} % went further back.` : '.');
  drawMap();
}
function pick() {
  buttons.layers.forEach((b, k) => b.setAttribute('aria-pressed', k === layer));
  buttons.heads.forEach((b, k) => b.setAttribute('aria-pressed', k - 1 === head));
  look(at);
}
function choices(name, labels, chosen) {
  const all = labels.map((label, k) => {
    const b = make('button', '', label);
    b.type = 'button';
    b.addEventListener('click', () => { chosen(k); pick(); });
    return b;
  });
  find('.' + name).replaceChildren(...all);
  buttons[name] = all;
}
text.addEventListener('mouseover', e => { const s = e.target.closest('.token'); if (s) look(+s.dataset.i); });
text.addEventListener('click', e => { const s = e.target.closest('.token'); if (s) { look(+s.dataset.i); s.focus(); } });
text.addEventListener('keydown', e => {
  const to = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: value.n - 1}[e.key];
  if (to === undefined) return;
  e.preventDefault();
  look(Math.min(value.n - 1, Math.max(0, to)));
  spans[at].focus();
});
canvas.addEventListener('pointermove', e => {
  const r = canvas.getBoundingClientRect();
  look(Math.min(value.n - 1, Math.max(0, Math.floor((e.clientY - r.top) / r.height * value.n))));
});
canvas.addEventListener('pointerdown', e => canvas.dispatchEvent(new PointerEvent('pointermove', e)));

function load() {
  const v = props.value;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  whole.hidden = !(v && v.maps);
  if (whole.hidden) return;
  const first = !value || value.layers !== v.layers || value.heads !== v.heads;
  value = v; maps = atob(v.maps); symbols = JSON.parse(v.symbols);
  if (first) {
    layer = 0; head = -1;
    choices('layers', Array.from({length: v.layers}, (_, k) => '' + (k + 1)), k => { layer = k; });
    choices('heads', ['mean', ...Array.from({length: v.heads}, (_, k) => '' + (k + 1))], k => { head = k - 1; });
  }
  spans = symbols.map((symbol, i) => {
    const span = make('span', 'token', symbol === '\n' ? '↵\n' : symbol);
    span.dataset.i = i;
    span.setAttribute('role', 'button');
    span.setAttribute('aria-label', shown(symbol));
    return span;
  });
  text.replaceChildren(...spans);
  at = v.n - 1;
  pick();
}
watch('value', load);
load();
