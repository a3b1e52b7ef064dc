const canvas = find('canvas'), c = canvas.getContext('2d', {willReadFrequently: true});
let pen = null, penDown = false, empty = true;  // penDown: of the keyboard's pen
const {side} = props;  // read once: an empty update of the pad clears its properties
function clear() { c.fillStyle = '#000'; c.fillRect(0, 0, 280, 280); empty = true; hint(); }
function hint() {
  c.fillStyle = '#888'; c.font = '16px sans-serif'; c.textAlign = 'center';
  c.fillText(_('Draw here'), 140, 145);
}
function line(x, y) {
  if (empty) { c.fillStyle = '#000'; c.fillRect(0, 0, 280, 280); empty = false; }
  c.strokeStyle = '#fff'; c.lineWidth = 22; c.lineCap = c.lineJoin = 'round';
  c.beginPath(); c.moveTo(...(pen || [x, y])); c.lineTo(x, y); c.stroke();
  pen = [x, y];
}
function send() {
  if (empty) return;
  const small = make('canvas'), s = small.getContext('2d');
  resize(small, side, side);
  s.drawImage(canvas, 0, 0, side, side);
  const grey = s.getImageData(0, 0, side, side).data;
  props.value = encode(grey.filter((_, i) => i % 4 === 0));
  trigger('input');
}
function remove() {
  const drawn = !empty;
  clear();
  pen = props.value = null;
  if (drawn) trigger('release');
}
function begin() { pen = null; return true; }
onStroke(canvas, begin, (x, y) => line(280 * x, 280 * y), send);
canvas.addEventListener('keydown', e => {
  const step = ARROWS[e.key];
  if (e.key === ' ') { penDown = !penDown; if (penDown) line(...(pen || [140, 60])); else send(); }
  else if (e.key === 'Delete') remove();
  else if (step) {
    const [x, y] = pen || [140, 60], to = [x + 10 * step[0], y + 10 * step[1]].map(k => Math.min(270, Math.max(10, k)));
    if (penDown) line(...to); else pen = to;
  } else return;
  e.preventDefault();
});
find('button').addEventListener('click', remove);
watch('value', () => { if (!props.value && !empty) clear(); });
clear();
