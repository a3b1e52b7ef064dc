const view = find('.view'), scroll = find('.scroll'), title = find('.title'), text = find('.text');
const bar = find('.bar'), stats = find('.stats'), notes = find('.notes'), more = find('.more'), directionButton = find('.turn');
const panel = find('.panel'), summary = find('.summary'), alternatives = find('.alternatives');
const WORDS = props.poem ? {
  expected: _('料到 expected'), surprising: _('意外 surprising'), rows: _('横排 rows'), columns: _('竖排 columns'),
} : {expected: _('expected'), surprising: _('surprising')};
const TONES = {平: ['○', _('平 level')], 仄: ['●', _('仄 oblique')], 中: ['◐', _('平仄 level or oblique')]};
const marks = find('.marks');
let records = [], spans = [], line = null;  // line: of a poem, the element of the unfinished one
// turn: number of the run that is shown; endedTurn: of the last run that has ended; parsed: how many characters of `tokens` have been read; selected: index of the token, or -1
let turn = 0, endedTurn = 0, parsed = 0, value = null, selected = -1;

function tint(span, p) {  // 0 bits of surprisal are blue, `middle` bits have no colour, 5 bits more are orange
  const bits = -Math.log2(Math.max(p, 1e-9)), expected = bits < props.middle;
  span.style.setProperty('--hue', expected ? 'var(--expected)' : 'var(--surprising)');
  span.style.setProperty('--alpha', (expected ? .34 * (1 - bits / props.middle) : .62 * Math.min(1, (bits - props.middle) / 5)).toFixed(3));
}
function append(record) {
  const {symbol, p, kind} = record, span = make('span', 'token ' + kind, symbol === '\n' ? '↵\n' : symbol), i = records.length;
  if (symbol === '\n') span.classList.add('line');
  tint(span, p);
  span.tabIndex = i ? -1 : 0;
  describe(span, 'button', visible(symbol) + ', ' + percent(p));
  span.title = percent(p);
  span.dataset.i = i;
  if (props.poem && !line) text.append(line = make('div', 'verse'));
  (line || text).append(span);
  if (props.poem && '，。'.includes(symbol)) line = null;
  records.push(record); spans.push(span);
}
function truncate(n) {
  for (const span of spans.splice(n)) {
    const parent = span.parentNode;
    span.remove();
    if (parent !== text && !parent.childNodes.length) parent.remove();
  }
  records.length = Math.min(n, records.length);
  line = props.poem && spans.length && !'，。'.includes(records.at(-1).symbol) ? spans.at(-1).parentNode : null;
  if (selected >= n) deselect();
  if (spans.length && !text.querySelector('[tabindex="0"]')) spans[0].tabIndex = 0;
}
function markVerse({tones, pattern, rhyming, rhyme}) {  // of a poem: what rhymes, and each tone beside the pattern's
  let breaks = 0;
  spans.forEach((span, i) => {
    const [symbol, words] = TONES[tones[i]] || ['', ''], asked = pattern[i], rhymes = rhyming[i] === '韵';
    const breaking = '平仄'.includes(tones[i]) && '平仄'.includes(asked) && tones[i] !== asked;
    breaks += breaking;
    span.dataset.tone = symbol;
    span.classList.toggle('open', asked === '中');
    span.classList.toggle('breaking', breaking);
    span.classList.toggle('rhymes', rhymes);
    const facts = [percent(records[i].p), words, breaking && _('not {tone} as in the pattern', {tone: TONES[asked][1]}), rhymes && _('韵 rhymes ({rhyme})', {rhyme})];
    span.title = facts.filter(Boolean).join(', ');
    describe(span, 'button', visible(records[i].symbol) + ', ' + span.title);
  });
  const items = [[rhyme && 'rhymes', '韵', rhyme && _('rhyme {rhyme}', {rhyme})], ['tone', '○', _('平 level')], ['tone', '●', _('仄 oblique')],
    ['tone open', '○', _('either fits')], ['tone breaking', '○', _('against the pattern: {count}', {count: breaks})]];
  marks.replaceChildren(...items.filter(([kind]) => kind).map(([kind, symbol, words]) => {
    const item = make('span', ''), sample = make('i', kind, symbol);
    sample.setAttribute('aria-hidden', 'true');
    item.append(sample, ' ' + words);
    return item;
  }));
}
function textBefore(n) { return records.slice(0, n).map(record => record.symbol).join(''); }
function deselect() {
  if (spans[selected]) spans[selected].classList.remove('selected');
  selected = -1; panel.hidden = true;
}
function select(i) {
  deselect();
  selected = i;
  const {symbol, p, entropy, alternatives: list} = records[i], b = make('b', '', visible(symbol));
  spans[i].classList.add('selected');
  setTabStop(i);
  const perplexity = Math.exp(entropy), n = perplexity < 10 ? perplexity.toFixed(1) : Math.round(perplexity);
  summary.replaceChildren(...(props.poem ?
    [b, _(' 的概率 probability {share}。 犹豫如同在 {n} 个字中选一个 as uncertain as among {n} equally likely ones. 换一个 choose another:', {share: percent(p), n})] :
    [b, _(' had probability {share}. The model was as uncertain as among {n} equally likely characters.', {share: percent(p), n}) +
      (props.branch ? _(' Choose another, and the text continues from there:') : _(' The most likely:'))]));
  const highest = Math.max(...list.map(other => other.p), 1e-9);
  alternatives.replaceChildren(...list.map(({symbol: alternative, p: q}, j) => {
    const button = makeButton('alternative', '', () => replace(i, j));
    button.append(make('b', '', visible(alternative)), make('span', '', percent(q)));
    button.style.setProperty('--share', q / highest);
    button.setAttribute('aria-label', `${visible(alternative)}, ${percent(q)}`);
    button.setAttribute('aria-pressed', alternative === symbol);
    button.disabled = !props.branch || alternative === symbol;
    return button;
  }));
  panel.hidden = false;
  trigger('click', {text: textBefore(i)});
}
function replace(i, j) {  // token i by its alternative j; what follows it is dropped
  const old = records[i], {symbol, p} = old.alternatives[j];
  truncate(i);
  append({...old, symbol, p, kind: 'yours'});
  deselect();
  send('input');
  setTabStop(i);
  spans[i].focus();  // its button has gone
}
function send(event) {
  oldestTurn = turn + 1;  // the visitor's action ends the run that is shown
  more.hidden = true;
  trigger(event, {text: textBefore(), keep: records.length, request: value && value.request});
}
function setTabStop(i) {
  const old = text.querySelector('[tabindex="0"]');
  if (old) old.tabIndex = -1;
  spans[i].tabIndex = 0;
}
text.addEventListener('click', e => {
  const span = e.target.closest('.token');
  if (span) { span.focus({preventScroll: true}); select(+span.dataset.i); }
});
text.addEventListener('keydown', e => {
  const span = e.target.closest('.token');
  if (!span) return;
  const i = +span.dataset.i, last = spans.length - 1, vertical = props.poem && !view.classList.contains('rows');
  const target = {ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: last, [vertical ? 'ArrowDown' : '']: i + 1, [vertical ? 'ArrowUp' : '']: i - 1}[e.key];
  if (e.key === 'Enter' || e.key === ' ') select(i);
  else if (e.key === 'Escape') deselect();
  else if (target !== undefined) { const k = Math.min(last, Math.max(0, target)); setTabStop(k); spans[k].focus(); }
  else return;
  e.preventDefault();
});
more.addEventListener('click', () => { deselect(); send('release'); text.querySelector('[tabindex="0"]')?.focus(); });
directionButton.addEventListener('click', () => {
  const rows = view.classList.toggle('rows');
  directionButton.textContent = rows ? WORDS.columns : WORDS.rows;
});

/**
 * @typedef {{symbol: string, p: number, entropy: number, kind: string, alternatives: {symbol: string, p: number}[]}} Token
 * @param {{tokens: string, keep: number, stats: string, notes: string, title: string, author: string, request: object,
 *   verse: {tones: string, pattern: string, rhyming: string, rhyme: string},
 *   live: boolean, turn: number, message: string}} v  tokens: a line of JSON for each Token
 */
function load(v) {
  scroll.hidden = !!(v && v.message);
  if (!v || v.message) {
    truncate(0); parsed = 0; value = null;
    bar.hidden = true; marks.hidden = true; notes.hidden = true; view.classList.remove('live');
    text.textContent = v ? '' : props.poster;
    return;
  }
  if (!value) text.replaceChildren();
  if (v.turn === undefined || v.turn !== turn || !value) {
    truncate(v.keep || 0);
    parsed = 0;
    turn = v.turn || 0;
  }
  const atBottom = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  for (const record of v.tokens.slice(parsed).split('\n')) if (record) append(JSON.parse(record));
  parsed = v.tokens.length;
  value = v;
  if (v.live && atBottom) scroll.scrollTop = scroll.scrollHeight;
  view.classList.toggle('live', !!v.live);
  title.hidden = !v.title && !v.author;
  title.replaceChildren(make('b', '', v.title || ''), make('span', '', v.author || ''));
  marks.hidden = !v.verse;
  if (v.verse) markVerse(v.verse);
  bar.hidden = false;
  stats.textContent = v.stats || '';
  notes.hidden = !v.notes;
  notes.textContent = v.notes || '';
  more.hidden = !props.more || !!v.live || !records.length;
  if (!v.live && v.turn !== undefined && endedTurn !== v.turn) {
    endedTurn = v.turn;
    announce(stats.textContent);
    if (selected < 0) trigger('click', {text: textBefore()});
  }
}
view.classList.toggle('poem', !!props.poem);
text.setAttribute('aria-label', _('{name}. Arrow keys move from token to token, Enter shows the alternatives.', {name: props.name}));
find('.expected').textContent = WORDS.expected;
find('.surprising').textContent = WORDS.surprising;
find('.legend i').style.setProperty('--middle', 100 * props.middle / (props.middle + 5) + '%');
more.textContent = props.more;
directionButton.hidden = !props.poem;
directionButton.textContent = WORDS.rows || '';
onValue(load);
