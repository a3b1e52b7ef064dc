const LISTED = 10;
const context = find('.context'), bars = find('.bars'), summary = find('.summary'), message = find('.message');
let rows = [], logits = [], shownLogits = '';

function sum(values) { return values.reduce((a, b) => a + b, 0); }
function normalize(values) {
  const total = sum(values);
  return values.map(v => v / total);
}
function softmax(values) {
  const highest = Math.max(...values);
  return normalize(values.map(v => Math.exp(v - highest)));
}
// As genmodels.transformer.warp_logits, with the cut-offs in the same order. The logits are sorted, the highest first.
function warpLogits([temperature, topK, topP, minP]) {
  if (!(temperature >= 1e-6)) return logits.map((_, i) => i ? 0 : 1);
  let p = softmax(logits.map(v => v / temperature));
  if (topK > 0 && topK < p.length) {
    const lowest = p[topK - 1];
    p = normalize(p.map(v => v < lowest ? 0 : v));
  }
  if (topP < 1) {
    let massAbove = 0;
    p = p.map((v, i) => {
      const kept = !i || massAbove < topP;
      massAbove += v;
      return kept ? v : 0;
    });
  }
  if (minP > 0) {
    const lowest = minP * p[0];
    p = p.map(v => v < lowest ? 0 : v);
  }
  return normalize(p);
}
function percent(p) { return p >= .0995 ? Math.round(100 * p) + ' %' : p >= .001 ? (100 * p).toFixed(1) + ' %' : p ? '< 0.1 %' : '0 %'; }

function load() {
  const v = props.value, filled = !!(v && v.logits);
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  context.hidden = summary.hidden = bars.hidden = !filled;
  if (!filled) return;
  if (v.logits !== shownLogits) {
    shownLogits = v.logits;
    logits = v.logits.split(' ').map(Number);
    rows = JSON.parse(v.symbols).slice(0, LISTED).map(symbol => {
      const row = make('div', 'row'), track = make('div', 'track');
      track.append(make('i', 'warped'), make('i', 'model'));
      row.append(make('b', '', symbol === ' ' ? '␣' : symbol === '\n' ? '↵' : symbol), track, make('output'));
      return row;
    });
    bars.replaceChildren(...rows);
  }
  context.firstChild.textContent = v.context.replaceAll('\n', '↵');
  const model = softmax(logits), warped = warpLogits(v.options), highest = Math.max(model[0], warped[0]);
  rows.forEach((row, i) => {
    row.style.setProperty('--model', model[i] / highest);
    row.style.setProperty('--warped', warped[i] / highest);
    row.classList.toggle('cut', !warped[i]);
    row.lastChild.textContent = warped[i] ? percent(warped[i]) : 'cut';
    row.lastChild.title = warped[i];
  });
  const remaining = warped.filter(p => p > 0).length;
  summary.textContent = `${remaining} of ${warped.length} tokens remain; those not listed: ${percent(sum(warped.slice(LISTED)))} together. ` +
    'Outline: the model. Filled: after temperature and cut-offs.';
}
watch('value', load);
load();
