const views = find('.views'), bar = find('.bar'), range = find('input'), play = find('.play'), out = find('output');
const ends = element.querySelectorAll('.ends span'), plot = find('.plot'), dot = find('.plot i');
let image = null, value = null, canvases = [], levels = [], drawnLevels = '';
const stop = playback(play, range, draw, () => {  // a run plays once, other frames back and forth
  const bounce = !value.levels;
  return {last: value.columns - 1, delay: bounce ? 80 : Math.min(250, Math.max(40, 3000 / value.columns)), bounce};
});

function draw() {
  if (!image) return;
  const frame = value.live ? 0 : +range.value;
  canvases.forEach((canvas, row) => drawCell(canvas, image, value, row * value.columns + frame));
  fillTrack(range);
  if (!value.levels) { out.textContent = (frame + 1) + ' / ' + value.columns; return; }
  const step = value.numbers[frame], last = levels.length - 1;
  dot.style.left = 100 * step / last + '%';
  dot.style.top = 100 - 100 * levels[step] + '%';
  out.textContent = _('noise {share} %', {share: Math.round(100 * levels[step])}) + '\n' + step + ' / ' + last;
}
function curve() {  // the noise level of each step
  plot.hidden = !value.levels;
  if (!value.levels || value.levels === drawnLevels) return;
  drawnLevels = value.levels;
  levels = value.levels.split(' ').map(Number);
  const line = 'M' + levels.map((level, k) => 100 * k / (levels.length - 1) + ' ' + (100 - 100 * level)).join('L');
  find('.line').setAttribute('d', line);
  find('.area').setAttribute('d', line + 'V100H0Z');
}
function build(v) {
  canvases = v.rows.map(() => make('canvas'));
  views.dataset.rows = v.rows.length;
  views.replaceChildren(...v.rows.map((name, row) => {
    const view = make('figure'), caption = make('figcaption', '', name);
    describe(canvases[row], 'img', name || _('frame'));
    view.append(canvases[row], caption);
    if (props.action) view.append(makeButton('action', props.action, () => trigger('release', {step: +range.value, row})));
    return view;
  }));
}
function sliderMax(v) {  // of the whole run, even if it was stopped: the thumb stays below its point of the curve
  const last = v.columns - 1;
  return v.levels ? Math.round((levels.length - 1) * (last / v.numbers[last] || 1)) : last;
}
/** @param {Sheet & {rows: string[], levels: string, numbers: number[], live: boolean, turn: number}} v  levels: numbers with spaces */
function load(v) {
  stop();
  bar.hidden = !(v && v.source);
  if (!v || !v.source) { views.replaceChildren(); image = value = null; return; }
  openSheet(v, opened => {
    const position = v.live ? v.numbers[0] : v.levels ? v.columns - 1 :
      value && value.columns === v.columns ? range.value : Math.floor(v.columns / 2);
    if (!value || value.rows.join('\n') !== v.rows.join('\n')) build(v);
    image = opened; value = v;
    for (const canvas of canvases) canvas.style.aspectRatio = v.w + ' / ' + v.h;
    ends.forEach((e, i) => { e.textContent = props.ends[i] || ''; });
    curve();
    range.disabled = play.disabled = !!v.live;
    range.max = v.live ? levels.length - 1 : sliderMax(v);
    range.value = position;
    draw();
    if (v.levels && !v.live) announce(out.textContent);
  });
}
onValue(load);
