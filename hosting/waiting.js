// Where the visitor's computation stands, once they have waited for a while without any result: the server is asked (waiting.py).
(() => {
  const PATIENCE = 1500, PAUSE = 2000;  // milliseconds until the server is asked, and until it is asked again
  const requests = new Set();           // that have no result yet, {since, input, body}
  let timer = null;

  const note = document.createElement('div');  // at the foot of the page; a screen reader speaks it
  note.id = 'waiting';
  note.setAttribute('role', 'status');
  document.addEventListener('DOMContentLoaded', () => document.body.append(note));
  function say(text) { if (note.textContent !== text) note.textContent = text; }

  function sentence({ahead, others}) {
    if (ahead > 0) return _('Waiting for the computer: place {n} in the queue.', {n: ahead});
    if (others > 1) return _('{n} other computations take turns with this one.', {n: others});
    return others ? _('Another computation takes turns with this one.') : '';
  }

  async function look() {
    const [first] = requests, age = first ? performance.now() - first.since : 0;
    if (first && age < PATIENCE) timer = setTimeout(look, PATIENCE - age);
    else timer = first ? setTimeout(look, PAUSE) : null;
    const session = first?.body?.match?.(/"session_hash":"(\w+)"/)?.[1];
    if (!session || age < PATIENCE || document.hidden || window.isAway?.()) return say('');
    const address = String(first.input.url ?? first.input).replace(/\/gradio_api\/.*/, `/gradio_api/place/${session}`);
    try {
      const place = await (await fetch(address, {cache: 'no-store'})).json();
      say(requests.size ? sentence(place) : '');
    } catch (e) { say(''); }
  }

  window.waiting = {
    begin(input, {body}) {
      const request = {since: performance.now(), input, body};
      requests.add(request);
      timer ??= setTimeout(look, PATIENCE);
      return request;
    },
    end(request) {
      requests.delete(request);
      if (requests.size) return;
      clearTimeout(timer);
      timer = null;
      say('');
    },
  };
})();
