const box = find('.verdict'), figure = find('figure'), details = find('details'), kinds = find('.kinds'), message = find('.message');
function load() {
  const v = props.value, there = !!(v && v.pixels);
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  box.hidden = figure.hidden = details.hidden = !there;
  if (!there) return;
  drawRaw(find('canvas'), v);
  find('.text').textContent = v.text;
  const ground = JSON.parse(v.hills), low = ground.edges[0], reach = ground.edges.at(-1) - low || 1;
  drawHistograms(find('svg'), ground, [[v.score, 'yours']]);
  const all = JSON.parse(v.kinds), best = Math.max(...all.map(kind => kind[1]));
  kinds.replaceChildren(...all.map(([name, score]) => {
    const row = make('div', 'kind' + (score === best ? ' best' : '')), bar = make('i');
    bar.style.setProperty('--at', Math.min(1, Math.max(0, (score - low) / reach)));
    row.append(make('span', '', name), bar, make('output', '', signed(score, ground.edges)));
    return row;
  }));
}
watch('value', load);
load();
