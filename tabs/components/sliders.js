// The exact code is `z`: a slider has steps of 0.1, and a code from the server must not be rounded by being displayed.
let z = [], inputs = [], outputs = [], dimensions = '', releaseTimer;
const boxes = element.querySelectorAll('.rows'), more = find('.more'), unused = find('.unused');

function row(index, label) {
  const line = make('label', 'row'), name = make('span', 'name', label), input = make('input'), out = make('output');
  out.setAttribute('aria-live', 'off');  // the slider says its value itself
  Object.assign(input, {type: 'range', min: -3, max: 3, step: 0.1});
  input.setAttribute('aria-label', label);
  input.addEventListener('input', () => {
    z[index] = Math.round(+input.value * 1000) / 1000;
    write(index);
    element.dispatchEvent(new CustomEvent('moved', {bubbles: true, detail: [...z]}));
    props.value = {...props.value, z: [...z], moved: true};
    trigger('input');
    clearTimeout(releaseTimer);
    releaseTimer = setTimeout(() => trigger('release'), 300);  // for updates that need not follow every move
  });
  input.addEventListener('dblclick', () => {
    input.value = 0;
    input.dispatchEvent(new Event('input'));
  });
  inputs[index] = input;
  outputs[index] = out;
  line.append(name, input, out);
  return line;
}
function write(index) {
  outputs[index].textContent = z[index].toFixed(2);
  fillTrack(inputs[index]);
}
function build(v) {
  const used = v.dims.length - v.unused, first = v.unused || used > props.shown ? Math.min(used, props.shown) : used;
  const parts = [v.dims.slice(0, first), v.dims.slice(first, used), v.dims.slice(used)];
  inputs = []; outputs = [];
  parts.forEach((part, i) => boxes[i].replaceChildren(...part.map(({index, label}) => row(index, label))));
  more.hidden = !parts[1].length;
  more.querySelector('summary').textContent = _('{n} more dimensions with a smaller KL', {n: parts[1].length});
  unused.hidden = !parts[2].length;
  unused.querySelector('summary').textContent = _('{n} unused (collapsed) dimensions', {n: parts[2].length});
  find('.empty').hidden = v.dims.length > 0;
}
/** @param {{model: string, z: number[], dims: {index: number, label: string}[], unused: number}} v */
function load(v) {
  const {dims = [], unused = 0, z: code = []} = v || {}, newDimensions = JSON.stringify(dims);  // none before the model is loaded
  if (newDimensions !== dimensions) { dimensions = newDimensions; build({dims, unused}); }
  z = [...code];
  z.forEach((value, index) => {
    const input = inputs[index];
    if (document.activeElement === input && +input.value === value) return;  // the visitor is moving it
    const limit = Math.max(3, Math.ceil(Math.abs(value)));
    input.min = -limit; input.max = limit; input.value = value;
    write(index);
  });
}
onValue(load);
