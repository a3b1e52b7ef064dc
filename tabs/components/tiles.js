const box = find('.tiles'), message = find('.message');
let tiles = [], chosen = -1;
function select(i) {
  chosen = i;
  if (props.pick) tiles.forEach((t, k) => t.setAttribute('aria-pressed', k === i));
}
function load() {
  const v = props.value;
  message.hidden = !(v && v.message);
  message.textContent = (v && v.message) || '';
  box.setAttribute('aria-label', props.name);
  box.style.setProperty('--columns', props.columns);
  if (!v || !v.source) { box.replaceChildren(); tiles = []; return; }
  openSheet(v, () => props.value === v || props.value.source === v.source, image => {
    if (tiles.length !== v.n) {
      tiles = Array.from({length: v.n}, (_, i) => {
        const tile = make(props.pick ? 'button' : 'figure', 'tile');
        tile.append(make('canvas'));
        if (props.pick) {
          tile.type = 'button';
          tile.addEventListener('click', () => { select(i); trigger('input', {index: i}); });
        } else tile.append(make('figcaption'));
        return tile;
      });
      box.replaceChildren(...tiles);
    }
    tiles.forEach((tile, i) => {
      const label = (v.labels && v.labels[i]) || 'picture ' + (i + 1);
      drawCell(tile.firstChild, image, v, i);
      tile.firstChild.setAttribute('role', 'img');
      tile.firstChild.setAttribute('aria-label', label);
      if (props.pick) { tile.title = label; tile.setAttribute('aria-label', label); } else tile.lastChild.textContent = label;
    });
    select(v.chosen === undefined ? -1 : v.chosen);
  });
}
watch(['value'], load);
load();
