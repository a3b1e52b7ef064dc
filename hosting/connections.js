// A browser opens at most six connections to a server over HTTP/1.1, for all of its tabs together, and Gradio's page holds one for
// good: its heartbeat. Here only the few tabs that were used last hold one, and of these none that is hidden. A tab that
// still receives results keeps it, since the server takes its end for the visitor's leave and stops what was asked for.
(() => {
  const HOLDERS = 3;
  const fetchFromServer = window.fetch.bind(window);
  const tabs = new BroadcastChannel('genmodels-tabs'), name = crypto.getRandomValues(new Uint32Array(2)).join();
  const usedSince = new Set();  // other tabs that were used after this one
  const results = new Set();    // streams of results that are still open
  let heartbeat = null, connection = null, lastUse = 0;

  const wanted = () => heartbeat && (results.size > 0 || !document.hidden && usedSince.size < HOLDERS);

  async function connect() {
    if (connection || !wanted()) return;
    const mine = connection = new AbortController();
    try {
      const reader = (await fetchFromServer(heartbeat.input, {...heartbeat.options, signal: mine.signal})).body.getReader();
      while (!(await reader.read()).done);
    } catch (e) { /* closed below, or the server has gone */ }
    if (!mine.signal.aborted) await window.reachable?.(heartbeat.input);
    if (connection === mine) connection = null;
    if (!mine.signal.aborted) setTimeout(connect, 1000);
  }

  function update() {
    if (wanted()) return void connect();
    connection?.abort();
    connection = null;
  }

  function used() {
    if (document.hidden) return update();
    if (usedSince.size || Date.now() - lastUse > 1000) tabs.postMessage(name);
    lastUse = Date.now();
    usedSince.clear();
    update();
  }

  async function fetchResults(input, options) {
    const stream = {}, end = () => { results.delete(stream); update(); };
    results.add(stream);
    update();
    options.signal?.addEventListener('abort', end);
    try {
      const answer = await fetchFromServer(input, options), reader = answer.body.getReader();
      const pull = async controller => {
        try {
          const {done, value} = await reader.read();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (e) { controller.error(e); }
        end();
      };
      return new Response(new ReadableStream({pull, cancel: reason => { end(); return reader.cancel(reason); }}), answer);
    } catch (e) {
      end();
      throw e;
    }
  }

  window.fetch = (input, options = {}) => {
    const address = String(input.url ?? input);
    if (address.includes('/heartbeat/')) {
      heartbeat = {input, options};
      options.signal?.addEventListener('abort', () => { heartbeat = null; update(); });
      used();
      return Promise.resolve(new Response(new ReadableStream({}), {headers: {'Content-Type': 'text/event-stream'}}));
    }
    if (address.includes('/queue/data')) return fetchResults(input, options);
    return fetchFromServer(input, options);
  };
  // A page that the browser keeps for its Back button may come back: only one that is gone for good has left.
  window.addEventListener('pagehide', event => {
    if (!heartbeat || event.persisted) return;
    navigator.sendBeacon(String(heartbeat.input.url ?? heartbeat.input).replace('/heartbeat/', '/leave/'));
  });
  tabs.onmessage = event => { usedSince.add(event.data); update(); };
  document.addEventListener('visibilitychange', used);
  for (const action of ['pointerdown', 'keydown', 'focusin']) document.addEventListener(action, used, {capture: true, passive: true});
})();
