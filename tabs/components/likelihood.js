const box = find('.verdict'), axes = find('.axes'), key = find('.key'), message = find('.message');
function load() {
  const v = props.value, hasPicture = !!(v && v.pixels);
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  box.hidden = key.hidden = !hasPicture;
  axes.replaceChildren();
  if (!hasPicture) return;
  drawRaw(find('canvas'), v);
  find('.text').textContent = v.text;
  key.querySelectorAll('b').forEach((b, i) => { b.textContent = JSON.parse(v.names)[i]; });
  for (const [name, shares, score] of JSON.parse(v.axes)) {
    const figure = make('figure'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 480 100');
    svg.setAttribute('class', 'score-histogram');
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', `${name}: ${score}`);
    scoreHistogram(svg, shares, [[score, 'yours']], number => number.toFixed(1));
    figure.append(make('figcaption', '', name), svg);
    axes.append(figure);
  }
}
watch('value', load);
load();
