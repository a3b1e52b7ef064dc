const box = find('.tiles');
let tiles = [], source = null;
function select(i) {
  if (props.pick) tiles.forEach((t, k) => t.setAttribute('aria-pressed', k === i));
}
function choose(i) {
  select(i);
  props.value = {...props.value, chosen: i};  // for scripts of the page
  trigger('input', {index: i});
}
/** @param {Sheet & {labels: string[], chosen: number}} v */
function load(v) {
  box.setAttribute('aria-label', props.name);
  box.style.setProperty('--columns', props.columns);
  if (!v || !v.source) { box.replaceChildren(); tiles = []; source = null; return; }
  const chosen = v.chosen === undefined ? -1 : v.chosen;
  if (v.source === source && tiles.length === v.n) {  // another one is chosen of the same pictures
    shownLoad = loads;
    return select(chosen);
  }
  openSheet(v, image => {
    if (tiles.length !== v.n) {
      tiles = Array.from({length: v.n}, (_, i) => {
        const tile = props.pick ? makeButton('tile', '', () => choose(i)) : make('figure', 'tile');
        tile.append(make('canvas'));
        if (!props.pick) tile.append(make('figcaption'));
        return tile;
      });
      box.replaceChildren(...tiles);
    }
    tiles.forEach((tile, i) => {
      const label = (v.labels && v.labels[i]) || _('picture {number}', {number: i + 1});
      drawCell(tile.firstChild, image, v, i);
      describe(tile.firstChild, 'img', label);
      if (props.pick) tile.title = tile.ariaLabel = label; else tile.lastChild.textContent = label;
    });
    select(chosen);
    source = v.source;
  });
}
onValue(load);
