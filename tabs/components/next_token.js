const LISTED = 10;
const context = find('.context'), bars = find('.bars'), summary = find('.summary');
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
function warpLogits({temperature, top_k: topK, top_p: topP, min_p: minP}) {
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

/** @param {{context: string, symbols: string, logits: string,
 *   options: {temperature: number, top_k: number, top_p: number, min_p: number}}} v */
function load(v) {
  const filled = !!(v && v.logits);
  context.hidden = summary.hidden = bars.hidden = !filled;
  if (!filled) return;
  if (v.logits !== shownLogits) {
    shownLogits = v.logits;
    logits = v.logits.split(' ').map(Number);
    rows = JSON.parse(v.symbols).slice(0, LISTED).map(symbol => {
      const row = make('div', 'row'), track = make('div', 'track');
      track.append(make('i', 'warped'), make('i', 'model'));
      row.append(make('b', '', visible(symbol)), track, make('output'));
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
    row.lastChild.textContent = warped[i] ? percent(warped[i]) : _('cut');
    row.lastChild.title = warped[i];
  });
  const remaining = warped.filter(p => p > 0).length, unlisted = sum(warped.slice(LISTED));
  summary.textContent = _('{remaining} of {total} tokens remain; those not listed: {share} together.', {
    remaining, total: warped.length, share: unlisted ? percent(unlisted) : '0 %'}) + ' ' + _('Outline: the model. Filled: after temperature and cut-offs.');
}
onValue(load);
