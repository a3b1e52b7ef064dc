const box = find('.verdict'), figure = find('figure'), details = find('details'), kinds = find('.kinds');
/** @param {Raw & {text: string, score: number, histogram: string, by_label: string}} v  by_label: JSON of {label: string, score: number}[] */
function load(v) {
  const hasPicture = !!(v && v.pixels);
  box.hidden = figure.hidden = details.hidden = !hasPicture;
  if (!hasPicture) return;
  drawRaw([find('canvas')], v);
  find('.text').textContent = v.text;
  const histogram = JSON.parse(v.histogram), low = histogram.edges[0], span = histogram.edges.at(-1) - low || 1;
  scoreHistogram(find('svg'), histogram, [{score: v.score, kind: 'yours'}]);
  const rows = JSON.parse(v.by_label), best = Math.max(...rows.map(({score}) => score));
  kinds.replaceChildren(...rows.map(({label, score}) => {
    const row = make('div', 'kind' + (score === best ? ' best' : '')), bar = make('i');
    bar.style.setProperty('--share', Math.min(1, Math.max(0, (score - low) / span)));
    row.append(make('span', '', label), bar, make('output', '', signed(score, histogram.edges)));
    return row;
  }));
}
onValue(load);
