const canvas = find('canvas'), poster = find('img'), caption = find('figcaption');
/** @param {Raw & {caption: string, label: string, message: string}} v */
function load(v) {
  canvas.hidden = !v || !v.pixels;
  poster.hidden = !!v || !props.poster;
  if (!v) {
    if (props.poster) poster.src = props.poster;
    caption.textContent = _('The model is loading. Meanwhile: samples from the end of its training.');
    return;
  }
  if (v.pixels) drawRaw([canvas], v);
  canvas.setAttribute('aria-label', v.label || _('The picture'));
  caption.textContent = v.caption || '';
}
onValue(load);
