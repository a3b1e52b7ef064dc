// When the server has gone, because it was restarted or the network fails: Gradio's page would reload itself and lose drawings and
// uploads. This one says so, keeps what the visitor has entered, waits with what they do, and goes on when the server answers.
// What was being computed begins again, but only once: if it has ended the server, it does not do so again and again.
(() => {
  const LONGEST = 10;      // seconds between two looks whether the server is back
  const KEPT_UPLOADS = 8;  // which are uploaded again, if the server comes back without them
  const WAITS = /\/gradio_api\/(run\/|queue\/join|component_server|upload(\?|$))/;
  const GENERATING = 'data: {"msg":"process_generating"', COMPLETED = 'data: {"msg":"process_completed"';
  const CLOSE = 'data: {"msg":"close_stream"', UNEXPECTED = 'data: {"msg":"unexpected_error"';
  const fetchFromServer = window.fetch.bind(window);
  const computing = new Map();  // number of an event in Gradio's queue -> {input, options, ...}, see `asKnown`
  const ended = new Set();      // numbers of events that have ended before the answer that gives the number was read
  const numbers = new Map();    // number of an event that has begun again -> the number that the page knows
  const uploads = new Map();    // path that the page knows -> {input, options, path}
  let search = null, wake = () => {};

  // A sentence at the foot of the page, which a screen reader speaks.
  const note = document.createElement('div');
  let noteTimer;
  note.id = 'connection';
  note.setAttribute('role', 'status');
  document.addEventListener('DOMContentLoaded', () => document.body.append(note));
  function say(text, seconds = 0) {
    clearTimeout(noteTimer);
    if (note.textContent !== text) note.textContent = text;
    if (seconds) noteTimer = setTimeout(() => say(''), 1000 * seconds);
  }

  // Raises an error if the server does not answer: a proxy may do so in its place. What the server itself refuses is JSON.
  async function ask(input, options) {
    const answer = await fetchFromServer(input, options);
    const fromProxy = [502, 503, 504].includes(answer.status) && !answer.headers.get('Content-Type')?.includes('json');
    if (fromProxy) throw new TypeError(`no server behind the proxy: ${answer.status}`);
    return answer;
  }

  // Waits until the server answers. It is asked at once, and then less and less often.
  function reachable(input) {
    search ??= look(String(input.url ?? input).replace(/\/gradio_api\/.*/, '/gradio_api/app_id')).finally(() => { search = null; });
    return search;
  }
  async function look(address) {
    let missed = false;
    for (let seconds = 1; !await answers(address); seconds = Math.min(LONGEST, 1.5 * seconds)) {
      missed = true;
      say(_('The server does not answer. What you have entered stays here, and the page goes on by itself as soon as it can.'));
      await new Promise(resolve => {
        wake = resolve;
        setTimeout(resolve, 1000 * seconds * (0.75 + 0.5 * Math.random()));  // not all visitors at once
      });
    }
    if (!missed) return;
    await restoreUploads();
    say(_('The server answers again.'), 5);
  }
  async function answers(address) {
    let page;
    try {
      page = await (await ask(address, {cache: 'no-store', signal: AbortSignal.timeout(5000)})).json();
    } catch (e) { return false; }
    if (page.app_id === window.gradio_config?.app_id) return true;
    location.reload();  // another version of the page, to which this one's events mean nothing
    return new Promise(() => {});
  }
  addEventListener('online', () => wake());
  document.addEventListener('visibilitychange', () => { if (!document.hidden) wake(); });

  // --- Requests ---

  // The answer to a request that waits until there is a server, and is sent once more if it goes astray.
  async function send(input, options) {
    const request = window.waiting?.begin(input, options);
    try {
      return await sendAgain(input, options);
    } finally { window.waiting?.end(request); }
  }
  async function sendAgain(input, options) {
    for (let tries = 0; tries < 2; tries++) {
      await search;
      try {
        return await ask(input, withUploads(options));
      } catch (e) {
        if (options.signal?.aborted) throw e;
        await reachable(input);
      }
    }
    return refusal(broken());
  }
  const full = () => _('Too many computations wait at the moment: try again in a minute.');
  const broken = () => _('The connection broke off twice while this was computed: try again.');
  const refusal = text =>
    new Response(JSON.stringify({error: text, detail: text}), {status: 500, headers: {'Content-Type': 'application/json'}});

  async function join(input, options) {
    const answer = await send(input, options);
    if (answer.status === 503) return refusal(full());
    const {event_id: event} = await answer.clone().json().catch(() => ({}));
    if (event && !ended.delete(event)) computing.set(event, {input, options, request: window.waiting?.begin(input, options)});
    return answer;
  }

  async function upload(input, options) {
    const answer = await send(input, options);
    const paths = await answer.clone().json().catch(() => null);
    if (answer.ok && paths?.length === 1) uploads.set(paths[0], {input, options, path: paths[0]});
    if (uploads.size > KEPT_UPLOADS) uploads.delete(uploads.keys().next().value);
    return answer;
  }
  // A server that was restarted has no files of before.
  async function restoreUploads() {
    for (const file of uploads.values()) {
      const address = `/file=${file.path.split('/').map(encodeURIComponent).join('/')}`;
      try {
        if ((await ask(String(file.input).replace(/\/upload(\?.*)?$/, address), {method: 'HEAD'})).ok) continue;
        const answer = await ask(file.input, file.options);
        if (answer.ok) [file.path] = await answer.json();
      } catch (e) { /* what needs the file says that it is missing */ }
    }
  }
  function withUploads(options) {
    if (typeof options.body !== 'string') return options;
    const body = [...uploads].reduce((text, [known, {path}]) => known === path ? text : text.replaceAll(known, path), options.body);
    return {...options, body};
  }

  // --- Streams of results ---

  async function* messagesOf(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (let part; !(part = await reader.read()).done;) {
      const complete = (rest.slice(-1) + part.value).includes('\n\n');
      rest += part.value;
      if (!complete) continue;
      const messages = rest.split('\n\n');
      rest = messages.pop();
      yield* messages.map(message => message + '\n\n');
    }
    if (rest) yield rest;
  }

  // A message with the event's number that the page knows. Of an event that has begun again (`whole`) the first results come whole,
  // but where the page has some already (`shown`) it expects what has changed.
  function asKnown(message) {
    const number = message.match(/"event_id":"(\w+)"/)?.[1], event = numbers.get(number) ?? number, state = computing.get(event);
    if (message.startsWith(COMPLETED)) {
      if (!computing.delete(event)) ended.add(number);
      numbers.delete(number);
    }
    if (state && /"msg":"process_(generating|completed)"/.test(message.slice(0, 40))) window.waiting?.end(state.request);
    const replaces = message.startsWith(GENERATING) && state?.whole && state.shown;
    if (state && message.startsWith(GENERATING)) Object.assign(state, {shown: true, whole: false});
    if (!replaces) return number === event ? message : message.replace(number, event);
    const content = JSON.parse(message.slice('data: '.length));
    if (content.success) content.output.data = content.output.data.map(value => [['replace', [], value]]);
    return `data: ${JSON.stringify({...content, event_id: event})}\n\n`;
  }

  async function* results(input, options) {
    for (;;) {
      try {
        for await (const message of messagesOf(await ask(input, options))) {
          if (message.startsWith(UNEXPECTED)) break;  // it stops, or does not know this visitor
          yield asKnown(message);
          if (message.startsWith(CLOSE)) return;
        }
      } catch (e) {
        if (options.signal?.aborted) throw e;
      }
      if (!computing.size) return;
      await reachable(input);
      for (const [event, state] of computing) {
        const problem = await beginAgain(event, state);
        if (!problem) continue;
        computing.delete(event);
        window.waiting?.end(state.request);
        const output = {error: problem, title: _('Error'), duration: 8, visible: true};
        yield `data: ${JSON.stringify({msg: 'process_completed', event_id: event, output, success: false})}\n\n`;
      }
      if (!computing.size) {
        yield `${CLOSE}}\n\n`;
        return;
      }
    }
  }

  // Nothing, or why an event does not begin again.
  async function beginAgain(event, state) {
    if (state.again) return broken();
    const answer = await send(state.input, state.options), {event_id: number, detail} = await answer.json().catch(() => ({}));
    if (answer.status === 503) return full();
    if (!number) return typeof detail === 'string' ? detail : broken();
    Object.assign(state, {again: true, whole: true});
    numbers.set(number, event);
  }

  function stream(input, options) {
    const messages = results(input, options), encoder = new TextEncoder();
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const {done, value} = await messages.next();
          if (done) controller.close(); else controller.enqueue(encoder.encode(value));
        } catch (e) { controller.error(e); }
      },
    });
    return new Response(body, {headers: {'Content-Type': 'text/event-stream'}});
  }

  window.fetch = async (input, options = {}) => {
    const address = String(input.url ?? input);
    if (address.includes('/gradio_api/queue/data')) return stream(input, options);
    if (!WAITS.test(address)) return fetchFromServer(input, options);
    return (address.includes('/queue/join') ? join : address.includes('/upload') ? upload : send)(input, options);
  };
  window.reachable = reachable;
  window.isAway = () => search !== null;  // or may be
})();
