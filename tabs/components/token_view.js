const view = find('.view'), scroll = find('.scroll'), title = find('.title'), text = find('.text'), message = find('.message');
const bar = find('.bar'), told = find('.told'), notes = find('.notes'), more = find('.more'), turnButton = find('.turn');
const panel = find('.panel'), chosen = find('.chosen'), others = find('.others');
const WORDS = props.poem ? {
  sure: '料到 expected', surprised: '意外 surprising', rows: '横排 rows', columns: '竖排 columns',
} : {sure: 'expected', surprised: 'surprising'};
let records = [], spans = [], line = null;  // line: of a poem, the one that is being written
let turn = 0, over = 0, read = 0, value = null, at = -1, ended = 0;

function shown(symbol) { return symbol === ' ' ? '␣' : symbol === '\n' ? '↵' : symbol; }
function percent(p) { return p >= .0995 ? Math.round(100 * p) + ' %' : p >= .001 ? (100 * p).toPrecision(p < .00995 ? 1 : 2) + ' %' : '< 0.1 %'; }
function tint(span, p) {  // sure is blue, `middle` bits of surprise are the paper, 5 bits more are orange
  const bits = -Math.log2(Math.max(p, 1e-9)), sure = bits < props.middle;
  span.style.setProperty('--hue', sure ? 'var(--sure)' : 'var(--surprised)');
  span.style.setProperty('--much', (sure ? .34 * (1 - bits / props.middle) : .62 * Math.min(1, (bits - props.middle) / 5)).toFixed(3));
}
function append(record) {
  const [symbol, p, , kind] = record, span = make('span', 'token ' + kind, symbol === '\n' ? '↵\n' : symbol), i = records.length;
  if (symbol === '\n') span.classList.add('line');
  tint(span, p);
  span.tabIndex = i ? -1 : 0;
  span.setAttribute('role', 'button');
  span.setAttribute('aria-label', shown(symbol) + ', ' + percent(p));
  span.title = percent(p);
  span.dataset.i = i;
  if (props.poem && !line) text.append(line = make('div', 'verse'));
  (line || text).append(span);
  if (props.poem && '，。'.includes(symbol)) line = null;
  records.push(record); spans.push(span);
}
function cut(n) {
  for (const span of spans.splice(n)) {
    const parent = span.parentNode;
    span.remove();
    if (parent !== text && !parent.childNodes.length) parent.remove();
  }
  records.length = Math.min(n, records.length);
  line = props.poem && spans.length && !'，。'.includes(records.at(-1)[0]) ? spans.at(-1).parentNode : null;
  if (at >= n) close();
  if (spans.length && !text.querySelector('[tabindex="0"]')) spans[0].tabIndex = 0;
}
function plain(n) { return records.slice(0, n).map(r => r[0]).join(''); }
function close() {
  if (spans[at]) spans[at].classList.remove('at');
  at = -1; panel.hidden = true;
}
function choose(i) {
  close();
  at = i;
  const [symbol, p, entropy, kind, list] = records[i], b = make('b', '', shown(symbol));
  spans[i].classList.add('at');
  rove(i);
  const like = Math.exp(entropy), n = like < 10 ? like.toFixed(1) : Math.round(like);
  chosen.replaceChildren(...(props.poem ?
    [b, ` 的概率 had ${percent(p)}。 犹豫如同在 ${n} 个字中选一个 · as undecided as between ${n} equal ones. 换一个 · take another:`] :
    [b, ` had ${percent(p)}. The model was as undecided as between ${n} equally likely ones.` +
      (props.branch ? ' Take another, and the text goes on from there:' : ' The likeliest:')]));
  const most = Math.max(...list.map(o => o[1]), 1e-9);
  others.replaceChildren(...list.map(([other, q], j) => {
    const button = make('button', 'other');
    button.type = 'button';
    button.append(make('b', '', shown(other)), make('span', '', percent(q)));
    button.style.setProperty('--at', q / most);
    button.setAttribute('aria-label', `${shown(other)}, ${percent(q)}`);
    button.setAttribute('aria-pressed', other === symbol);
    button.disabled = !props.branch || other === symbol;
    button.addEventListener('click', () => take(i, j));
    return button;
  }));
  panel.hidden = false;
  trigger('click', {text: plain(i)});
}
function take(i, j) {
  const [, , entropy, , list] = records[i], [symbol, p] = list[j];
  cut(i);
  append([symbol, p, entropy, 'yours', list]);
  close();
  go('input');
}
function go(event) {
  over = turn;  // what is still on its way of the run before counts no longer
  more.hidden = true;
  trigger(event, {text: plain(), keep: records.length, asked: value && value.asked});
}
function rove(i) {
  const old = text.querySelector('[tabindex="0"]');
  if (old) old.tabIndex = -1;
  spans[i].tabIndex = 0;
}
text.addEventListener('click', e => {
  const span = e.target.closest('.token');
  if (span) { span.focus({preventScroll: true}); choose(+span.dataset.i); }
});
text.addEventListener('keydown', e => {
  const span = e.target.closest('.token');
  if (!span) return;
  const i = +span.dataset.i, last = spans.length - 1, away = props.poem && !view.classList.contains('rows');
  const to = {ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last, [away ? 'ArrowDown' : '']: i + 1, [away ? 'ArrowUp' : '']: i - 1}[e.key];
  if (e.key === 'Enter' || e.key === ' ') choose(i);
  else if (e.key === 'Escape') close();
  else if (to !== undefined) { const k = Math.min(last, Math.max(0, to)); rove(k); spans[k].focus(); }
  else return;
  e.preventDefault();
});
more.addEventListener('click', () => { close(); go('release'); });
turnButton.addEventListener('click', () => {
  const rows = view.classList.toggle('rows');
  turnButton.textContent = rows ? WORDS.columns : WORDS.rows;
});

function load() {
  const v = props.value;
  if (v && v.turn !== undefined && (v.turn < turn || v.turn <= over)) return;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  scroll.hidden = !!(v && v.message);
  if (!v || v.message) {
    cut(0); read = 0; value = null;
    bar.hidden = true; notes.hidden = true; view.classList.remove('live');
    text.textContent = v ? '' : props.poster;
    return;
  }
  if (!value) text.replaceChildren();
  if (v.turn === undefined || v.turn !== turn || !value) {
    cut(v.keep || 0);
    read = 0;
    turn = v.turn || 0;
  }
  const low = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  for (const one of v.tokens.slice(read).split('\n')) if (one) append(JSON.parse(one));
  read = v.tokens.length;
  value = v;
  if (v.live && low) scroll.scrollTop = scroll.scrollHeight;
  view.classList.toggle('live', !!v.live);
  title.hidden = !v.title && !v.author;
  title.replaceChildren(make('b', '', v.title || ''), make('span', '', v.author || ''));
  bar.hidden = false;
  told.textContent = v.told || '';
  notes.hidden = !v.notes;
  notes.textContent = v.notes || '';
  more.hidden = !props.more || !!v.live || !records.length;
  if (!v.live && v.turn !== undefined && ended !== v.turn) {
    ended = v.turn;
    if (at < 0) trigger('click', {text: plain()});
  }
}
view.classList.toggle('poem', !!props.poem);
text.setAttribute('aria-label', props.name + '. Arrow keys move from token to token, Enter shows what else could stand there.');
find('.sure').textContent = WORDS.sure;
find('.surprised').textContent = WORDS.surprised;
find('.legend i').style.setProperty('--middle', 100 * props.middle / (props.middle + 5) + '%');
more.textContent = props.more;
turnButton.hidden = !props.poem;
turnButton.textContent = WORDS.rows || '';
watch('value', load);
load();
