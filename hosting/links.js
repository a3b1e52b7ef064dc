// The state of the page in the address bar. Values come from the page's components, by events that tabs/links.py wires; opening
// an address goes to the server, which checks it. `places`: a place is what opens together and has one link, such as a tab.
(() => {
  const LIMIT = 2000;  // characters of what is written
  const REST = 250;    // milliseconds without a change after which the address is written
  const PATIENCE = 1000;  // milliseconds after which it is written although there are changes, as while models train
  const FOREIGN = ['embed', 'projector'];
  const query = new URLSearchParams(location.search);
  for (const look of FOREIGN) document.documentElement.classList.toggle(look, query.get(look) === '1');

  let groups = null, places = {}, openAddress = null;
  const selected = {};             // path of a tab, '' for the page -> the tab that is open in it
  const ports = {};                // place -> function that sends an event of its component
  const values = {};               // place -> {parameter: value}, as last read
  const stale = new Set();         // places that have changed since
  const reading = {};              // place -> {promise, resolve} while its values are asked for
  const running = {}, opened = {}; // place -> steps of its opening that have not ended; whether it has opened
  const restoring = new Set();     // places whose values the server is setting
  let asking = false;              // whether the server is asked for an address; Gradio drops what is sent meanwhile
  let pending = null;              // the address that is being opened; a newer one takes its place
  let entry = null;                // the path and the choices of the history's newest entry
  let numbers = 0, timer = 0, changedAt = null;  // changedAt: when the first of the changes came that are not written yet

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const text = value => Array.isArray(value) ? value.map(k => +k.toFixed(3)).join(',') : String(value);
  // Commas and slashes may stand in a query as they are. Half of a character, as when a box cuts an emoji, cannot be encoded.
  const encoded = value => encodeURIComponent(value.toWellFormed?.() ?? value).replace(/%2C/g, ',').replace(/%2F/g, '/');

  function path() {
    let tab = '';
    while (groups[tab]?.length) tab = (tab ? tab + '/' : '') + (selected[tab] ?? groups[tab][0]);
    return tab;
  }
  function firstPath(tab) {
    while (groups[tab]?.length) tab = (tab ? tab + '/' : '') + groups[tab][0];
    return tab;
  }
  const place = () => Object.keys(places).filter(p => (path() + '/').startsWith(p + '/')).sort((a, b) => b.length - a.length)[0];
  const choices = p => Object.keys(places[p]?.choices ?? {}).map(name => values[p]?.[name] ?? places[p].choices[name]);

  // [[parameter, text]] of a place; all: also of what has its default.
  function fields(p, all) {
    if (!places[p] || !values[p]) return [];
    const facts = places[p], dataset = choices(p)[0] ?? '', defaults = {...facts.defaults[dataset], ...facts.choices};
    return facts.fields.filter(name => values[p][name] !== null && values[p][name] !== undefined &&
      (all || !same(values[p][name], defaults[name]))).map(name => [name, text(values[p][name])]);
  }

  // The query of what is on screen, and whether something did not fit.
  function written() {
    const tab = path(), p = place(), top = tab.split('/')[0], found = fields(p, false);
    let missing = false;
    const kept = [...new Set(query.keys())].filter(name => FOREIGN.includes(name) || name.startsWith('__'));
    const join = () => [...(found.length || tab !== firstPath('') ? [['tab', top]] : []),
      ...(tab !== firstPath(top) ? [['tool', tab.split('/').at(-1)]] : []), ...found,
      ...kept.map(name => [name, query.get(name)])].map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
    while (found.length && join().length > LIMIT) {
      const longest = Math.max(...found.map(([, value]) => value.length));
      found.splice(found.findIndex(([, value]) => value.length === longest), 1);
      missing = true;
    }
    return {search: join() ? '?' + join() : '', missing};
  }

  // Ask for the values of a place.
  function refresh(p) {
    if (!reading[p]) {
      if (!stale.has(p) || !ports[p]) return;
      reading[p] = {};
      reading[p].promise = new Promise(resolve => { reading[p].resolve = resolve; });
      stale.delete(p);
      ports[p]('input');
    }
    return reading[p].promise;
  }

  const opens = () => !groups || pending || running[place()];  // what opens has values of before in between
  async function write() {
    clearTimeout(timer);
    changedAt = null;
    if (opens()) return;
    await refresh(place());
    if (opens()) return;
    const {search} = written(), now = [path(), choices(place())];
    const method = entry && !same(entry, now) ? 'pushState' : 'replaceState';
    entry = now;
    if (search === location.search) return;
    try {
      history[method](history.state, '', location.pathname + search + location.hash);
    } catch (e) { later(); }  // too many changes: once more, later
  }
  function later() {
    const now = performance.now();
    changedAt ??= now;
    clearTimeout(timer);
    timer = setTimeout(write, Math.min(REST, changedAt + PATIENCE - now));
  }

  // --- Opening an address ---

  function open() {
    pending = {number: ++numbers, query: location.search};
    if (!asking) ask();
  }
  function ask() {
    asking = true;
    openAddress('submit', {query: pending.query, number: pending.number});
  }
  // When the page has opened the place, its link's values follow.
  async function proceed() {
    const address = pending, p = address?.place;
    if (!p || address.sent || restoring.has(p) || running[p] || address.opens && !opened[p] || !ports[p]) return;
    address.sent = true;
    await refresh(p);
    if (pending !== address) return;
    restoring.add(p);
    const current = fields(p, true).map(([name, value]) => `${name}=${encoded(value)}`).join('&');
    ports[p]('submit', {query: address.query, current});
  }

  window.links = {
    start(allGroups, allPlaces, trigger) {
      [groups, places, openAddress] = [allGroups, allPlaces, trigger];
      entry = [path(), choices(place())];
      if (!query.has('tab')) return;
      // The first tab opens by itself: its link waits for that.
      if (query.get('tab') === groups[''][0] && !opened[place()]) pending = {query: location.search, waiting: true};
      else open();
    },
    answered(answer) {
      if (!pending || answer?.number !== pending.number) return;
      Object.assign(pending, answer, {answered: true});
      if (pending.opens) opened[pending.place] = false;
      setTimeout(proceed, 50);  // until then a change of the tab's choices has begun what it leads to
    },
    asked() {
      setTimeout(() => {
        asking = false;
        if (pending && !pending.waiting && !pending.answered) ask();
      }, 50);
    },
    failed() { asking = false; pending = null; },
    port(p, trigger) { ports[p] = trigger; setTimeout(proceed, 50); },
    select(around, tab) {
      selected[around] = tab;
      later();
    },
    begins(p) { running[p] = (running[p] ?? 0) + 1; },
    ends(p) {
      running[p] = Math.max(0, (running[p] ?? 0) - 1);
      if (running[p]) return;
      opened[p] = true;
      later();
      if (pending?.waiting && p === place()) open(); else setTimeout(proceed, 50);
    },
    restored(p) {
      restoring.delete(p);
      if (pending?.place !== p || !pending.sent) return void setTimeout(proceed, 50);
      pending = null;
      entry = place() === p ? [path(), choices(p)] : [p];  // the visitor may have moved on to another tab
      later();
    },
    changed(p) {
      stale.add(p);
      if (groups && p === place()) later();
    },
    read(p, list) {
      values[p] = Object.fromEntries(places[p].fields.map((name, i) => [name, list[i]]));
      reading[p]?.resolve();
      delete reading[p];
    },
    // The address of what is on screen, for the visitor to copy.
    async copied() {
      await write();
      const {search, missing} = pending || running[place()] ? {search: location.search, missing: false} : written();
      return {address: location.origin + location.pathname + search, missing};
    },
    // For tabs/links.py: numbers rounded to 3 digits, and points of the plane, as base64 that may stand in an address.
    pack: list => base64(new Uint8Array(Int16Array.from(list, k => Math.round(1000 * k)).buffer)),
    points(packed, most) {
      const all = new Int16Array(Uint8Array.from(atob(packed || ''), c => c.charCodeAt(0)).buffer), n = all.length / 2;
      const some = Array.from({length: Math.min(n, most)}, (_, i) => Math.floor(i * n / Math.min(n, most)));
      return base64(new Uint8Array(Int16Array.from(some.flatMap(i => [all[2 * i], all[2 * i + 1]])).buffer));
    },
  };
  function base64(bytes) {
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }

  window.addEventListener('popstate', () => {
    if (!groups) return;
    clearTimeout(timer);
    open();
  });
})();
