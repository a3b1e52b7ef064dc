const SHOWN = 10;
const before = find('.before'), bars = find('.bars'), rest = find('.rest'), message = find('.message');
let rows = [], logits = [], drawn = '';

function softmax(values) {
  const most = Math.max(...values), e = values.map(v => Math.exp(v - most)), sum = e.reduce((a, b) => a + b, 0);
  return e.map(v => v / sum);
}
function filtered([temperature, topK, topP, minP]) {  // the order of the cut-offs is that of genmodels.transformer.filtered
  if (!(temperature >= 1e-6)) return logits.map((_, i) => i ? 0 : 1);
  let p = softmax(logits.map(v => v / temperature));  // likeliest first
  const shared = () => { const sum = p.reduce((a, b) => a + b, 0); p = p.map(v => v / sum); };
  if (topK > 0 && topK < p.length) { const least = p[topK - 1]; p = p.map(v => v < least ? 0 : v); shared(); }
  if (topP < 1) { let sum = 0; p = p.map((v, i) => { const stays = !i || sum < topP; sum += v; return stays ? v : 0; }); }
  if (minP > 0) { const least = minP * p[0]; p = p.map(v => v < least ? 0 : v); }
  shared();
  return p;
}
function percent(p) { return p >= .0995 ? Math.round(100 * p) + ' %' : p >= .001 ? (100 * p).toFixed(1) + ' %' : p ? '< 0.1 %' : 'cut'; }

function load() {
  const v = props.value, there = !!(v && v.logits);
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  before.hidden = rest.hidden = bars.hidden = !there;
  if (!there) return;
  if (v.logits !== drawn) {
    drawn = v.logits;
    logits = v.logits.split(' ').map(Number);
    rows = JSON.parse(v.symbols).slice(0, SHOWN).map(symbol => {
      const row = make('div', 'row'), track = make('div', 'track');
      track.append(make('i', 'after'), make('i', 'model'));
      row.append(make('b', '', symbol === ' ' ? '␣' : symbol === '\n' ? '↵' : symbol), track, make('output'));
      return row;
    });
    bars.replaceChildren(...rows);
  }
  before.firstChild.textContent = v.before.replaceAll('\n', '↵');
  const model = softmax(logits), after = filtered(v.cuts), most = Math.max(model[0], after[0]);
  rows.forEach((row, i) => {
    row.style.setProperty('--model', model[i] / most);
    row.style.setProperty('--after', after[i] / most);
    row.classList.toggle('cut', !after[i]);
    row.lastChild.textContent = percent(after[i]);
    row.lastChild.title = after[i];
  });
  const stay = after.filter(p => p > 0).length, others = after.slice(SHOWN).reduce((a, b) => a + b, 0);
  rest.textContent = `${stay} of ${after.length} can be drawn; those not shown share ${percent(others).replace('cut', '0 %')}. ` +
    'Frame: the model. Filled: after temperature and cut-offs.';
}
watch('value', load);
load();
