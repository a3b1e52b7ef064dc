const views = find('.views'), bar = find('.bar'), range = find('input'), play = find('.play'), out = find('output');
const message = find('.message'), ends = element.querySelectorAll('.ends span');
let image = null, value = null, canvases = [], timer = null;

function draw() {
  if (!image) return;
  canvases.forEach((canvas, row) => drawCell(canvas, image, value, row * value.columns + +range.value));
  range.style.setProperty('--at', range.value / range.max);
  out.textContent = (+range.value + 1) + ' / ' + value.columns;
}
function stop() {
  clearInterval(timer); timer = null;
  play.textContent = '▶'; play.setAttribute('aria-label', 'Play');
}
play.addEventListener('click', () => {
  if (timer) return stop();
  let way = 1;
  play.textContent = '❚❚'; play.setAttribute('aria-label', 'Pause');
  timer = setInterval(() => {  // there and back
    if (!element.isConnected) return stop();
    if (+range.value + way > +range.max || +range.value + way < 0) way = -way;
    range.value = +range.value + way;
    draw();
  }, 80);
});
range.addEventListener('input', () => { stop(); draw(); });

function load() {
  const v = props.value;
  stop();
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  bar.hidden = !(v && v.source);
  if (!v || !v.source) { views.replaceChildren(); image = null; return; }
  openSheet(v, () => props.value === v || props.value.source === v.source, opened => {
    const at = value && value.columns === v.columns ? range.value : Math.floor(v.columns / 2);
    image = opened; value = v;
    canvases = v.rows.map(() => make('canvas'));
    views.replaceChildren(...v.rows.map((name, row) => {
      const view = make('figure'), caption = make('figcaption', '', name);
      canvases[row].setAttribute('role', 'img');
      canvases[row].setAttribute('aria-label', name || 'frame');
      view.append(canvases[row], caption);
      if (props.action) {
        const button = make('button', 'action', props.action);
        button.type = 'button';
        button.addEventListener('click', () => trigger('release', {step: +range.value, row}));
        view.append(button);
      }
      return view;
    }));
    ends.forEach((e, i) => { e.textContent = props.ends[i] || ''; });
    range.max = v.columns - 1; range.value = at;
    draw();
  });
}
watch('value', load);
load();
