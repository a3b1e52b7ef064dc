const box = find('.tiles');
let tiles = [];
function select(i) {
  if (props.pick) tiles.forEach((t, k) => t.setAttribute('aria-pressed', k === i));
}
/** @param {Sheet & {labels: string[], chosen: number}} v */
function load(v) {
  box.setAttribute('aria-label', props.name);
  box.style.setProperty('--columns', props.columns);
  if (!v || !v.source) { box.replaceChildren(); tiles = []; return; }
  openSheet(v, image => {
    if (tiles.length !== v.n) {
      tiles = Array.from({length: v.n}, (_, i) => {
        const tile = props.pick ? makeButton('tile', '', () => { select(i); trigger('input', {index: i}); }) : make('figure', 'tile');
        tile.append(make('canvas'));
        if (!props.pick) tile.append(make('figcaption'));
        return tile;
      });
      box.replaceChildren(...tiles);
    }
    tiles.forEach((tile, i) => {
      const label = (v.labels && v.labels[i]) || 'picture ' + (i + 1);
      drawCell(tile.firstChild, image, v, i);
      describe(tile.firstChild, 'img', label);
      if (props.pick) tile.title = tile.ariaLabel = label; else tile.lastChild.textContent = label;
    });
    select(v.chosen === undefined ? -1 : v.chosen);
  });
}
onValue(load);
