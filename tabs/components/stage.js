const canvas = find('canvas'), poster = find('img'), message = find('.message'), caption = find('figcaption');
function load() {
  const v = props.value;
  canvas.hidden = !v || !v.pixels;
  message.hidden = !v || !v.message;
  poster.hidden = !!v || !props.poster;
  if (!v) {
    if (props.poster) poster.src = props.poster;
    caption.textContent = 'The model is loading. Meanwhile: samples from the end of its training.';
    return;
  }
  if (v.pixels) drawRaw(canvas, v);
  canvas.setAttribute('aria-label', v.label || 'The picture');
  message.textContent = v.message || '';
  caption.textContent = v.caption || '';
}
watch('value', load);
load();
