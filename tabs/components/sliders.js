// The true code is `z`: a slider only knows steps of 0.1, and what came from the server must not be rounded by looking at it.
let z = [], inputs = [], outputs = [], shape = '', resting;
const boxes = element.querySelectorAll('.rows'), more = find('.more'), unused = find('.unused');

function row(place, label) {
  const line = make('label', 'row'), name = make('span', 'name', label), input = make('input'), out = make('output');
  Object.assign(input, {type: 'range', min: -3, max: 3, step: 0.1});
  input.setAttribute('aria-label', label);
  input.addEventListener('input', () => {
    z[place] = Math.round(+input.value * 1000) / 1000;
    write(place);
    props.value = {...props.value, z: [...z]};
    trigger('input');
    clearTimeout(resting);
    resting = setTimeout(() => trigger('release'), 300);  // what need not follow each move waits until the hand rests
  });
  input.addEventListener('dblclick', () => {
    input.value = 0;
    input.dispatchEvent(new Event('input'));
  });
  inputs[place] = input;
  outputs[place] = out;
  line.append(name, input, out);
  return line;
}
function write(place) {
  outputs[place].textContent = z[place].toFixed(2);
  inputs[place].style.setProperty('--at', (z[place] - inputs[place].min) / (inputs[place].max - inputs[place].min));
}
function build(v) {
  const used = v.dims.length - v.unused, first = v.unused || used > props.shown ? Math.min(used, props.shown) : used;
  const parts = [v.dims.slice(0, first), v.dims.slice(first, used), v.dims.slice(used)];
  inputs = []; outputs = [];
  parts.forEach((part, i) => boxes[i].replaceChildren(...part.map(([place, label]) => row(place, label))));
  more.hidden = !parts[1].length;
  more.querySelector('summary').textContent = parts[1].length + ' more that matter less';
  unused.hidden = !parts[2].length;
  unused.querySelector('summary').textContent = parts[2].length + ' that the model left unused';
  find('.empty').hidden = v.dims.length > 0;
}
function load() {
  const v = props.value;
  if (!v || !v.dims) return;
  const now = JSON.stringify(v.dims);
  if (now !== shape) { shape = now; build(v); }
  z = [...v.z];
  z.forEach((value, place) => {
    if (document.activeElement === inputs[place] && +inputs[place].value === value) return;  // under the visitor's finger
    const reach = Math.max(3, Math.ceil(Math.abs(value)));
    inputs[place].min = -reach; inputs[place].max = reach; inputs[place].value = value;
    write(place);
  });
}
watch('value', load);
load();
