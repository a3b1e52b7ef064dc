const box = find('.verdict'), axes = find('.axes'), key = find('.key');
/**
 * @typedef {{title: string, histogram: Histogram, score: number}} Axis
 * @param {Raw & {text: string, datasets: string[], axes: string}} v  axes: JSON of Axis[]
 */
function load(v) {
  const hasPicture = !!(v && v.pixels);
  box.hidden = key.hidden = !hasPicture;
  axes.replaceChildren();
  if (!hasPicture) return;
  drawRaw([find('canvas')], v);
  find('.text').textContent = v.text;
  key.querySelectorAll('b').forEach((b, i) => { b.textContent = v.datasets[i]; });
  for (const {title, histogram, score} of JSON.parse(v.axes)) {
    const figure = make('figure');
    figure.append(make('figcaption', '', title));
    const svg = part(figure, 'svg', {viewBox: '0 0 480 100', class: 'score-histogram', role: 'img', 'aria-label': _('{title}: {score}', {title, score})});
    scoreHistogram(svg, histogram, [{score, kind: 'yours'}], number => number.toFixed(1));
    axes.append(figure);
  }
}
onValue(load);
