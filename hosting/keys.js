// What Gradio's own controls lack for a keyboard, a screen reader or a page without https. Runs once, when the page has loaded.
() => {
  // A slider's .release event comes with a mouse only: the arrow keys give it as well, when they have rested.
  const KEYS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'];
  const timers = new WeakMap();
  document.addEventListener('keyup', e => {
    if (!KEYS.includes(e.key) || !e.target.matches('input[type=range][data-testid=range-input]')) return;
    clearTimeout(timers.get(e.target));
    timers.set(e.target, setTimeout(() => e.target.dispatchEvent(new PointerEvent('pointerup', {bubbles: true})), 300));
  });

  // What has the keyboard's focus may be disabled or removed by what it did, such as a Stop button: its neighbour gets the focus.
  const FOCUSABLE = ['button:enabled:not([tabindex="-1"])', ':is(input, select, textarea):enabled, [tabindex="0"]'];
  let focused = null, around = [];
  document.addEventListener('focusin', e => {
    focused = e.target;
    around = [];
    for (let parent = focused.parentElement; parent && parent.tagName !== 'MAIN'; parent = parent.parentElement) around.push(parent);
  });
  document.addEventListener('pointerdown', () => { focused = null; }, true);  // if it leads to no focus, there is none to keep
  new MutationObserver(() => {
    if (!focused || focused.isConnected && !focused.disabled || ![document.body, focused].includes(document.activeElement)) return;
    const neighbours = around.filter(e => e.isConnected).flatMap(e => FOCUSABLE.flatMap(kind => [...e.querySelectorAll(kind)]));
    neighbours.find(e => e.checkVisibility())?.focus({preventScroll: true});
  }).observe(document.body, {subtree: true, childList: true, attributes: true, attributeFilter: ['disabled']});

  // A number box: while it holds what is not allowed, a sentence says so and nothing is computed; when the visitor leaves it,
  // the nearest number that is allowed takes its place. Gradio would send anything, or nothing, and show another number.
  const NUMBER = 'main input[type=number]';
  const lastAllowed = new WeakMap();
  function check(box) {
    const [low, high] = [box.min, box.max].map(bound => bound === '' ? null : +bound), whole = +box.step % 1 === 0;
    const value = box.value === '' ? NaN : +box.value;  // also where there is text
    const nearest = Number.isNaN(value) ? lastAllowed.get(box) ?? box.min :
      Math.min(high ?? Infinity, Math.max(low ?? -Infinity, whole ? Math.round(value) : value));
    const name = box.closest('.block')?.querySelector('[data-testid=block-info]')?.textContent.trim() || _('This');
    const sentence = whole ? [_('{name} must be a whole number from {low} to {high}'), _('{name} must be a whole number of at least {low}')] :
      [_('{name} must be a number from {low} to {high}'), _('{name} must be a number of at least {low}')];
    return {nearest: String(nearest), allowed: value === nearest, sentence: _(sentence[high === null ? 1 : 0], {name, low, high})};
  }
  const place = box => box.closest('.small-controls') ?? box.closest('.block');
  let sentenceTimer;
  document.addEventListener('input', e => {
    if (!e.target.matches(NUMBER)) return;
    clearTimeout(sentenceTimer);
    const {allowed, sentence} = check(e.target);
    e.target.setAttribute('aria-invalid', !allowed);
    if (allowed) {
      lastAllowed.set(e.target, e.target.value);
      return say(place(e.target), '');
    }
    e.stopImmediatePropagation();
    sentenceTimer = setTimeout(() => say(place(e.target), _('{sentence}.', {sentence})), 600);  // it may be half typed
  }, true);
  function settle(box) {
    clearTimeout(sentenceTimer);
    const {nearest, allowed, sentence} = check(box), typed = box.value;
    if (allowed) return;
    box.value = nearest;
    box.dispatchEvent(new Event('input', {bubbles: true}));
    say(place(box), typed === '' ? _('{sentence}.', {sentence}) : _('{sentence}: {typed} became {nearest}.', {sentence, typed, nearest}));
    sentenceTimer = setTimeout(() => say(place(box), ''), 8000);
  }
  document.addEventListener('focusin', e => {
    if (e.target.matches(NUMBER) && check(e.target).allowed) lastAllowed.set(e.target, e.target.value);
  });
  document.addEventListener('keydown', e => { if (e.key === 'Enter' && e.target.matches(NUMBER)) settle(e.target); }, true);
  document.addEventListener('change', e => {
    if (!e.target.matches(NUMBER)) return;
    settle(e.target);
    // A seed counts when the visitor leaves its box, as it does with Enter.
    e.target.dispatchEvent(new KeyboardEvent('keypress', {key: 'Enter', bubbles: true, cancelable: true}));
  }, true);

  // A sentence under a place for uploads or a number box, which a screen reader speaks.
  function say(upload, text) {
    let note = upload.nextElementSibling;
    if (!note || !note.matches('.upload-note')) {
      note = document.createElement('p');
      note.className = 'upload-note';
      note.setAttribute('role', 'alert');
      upload.after(note);
    }
    note.textContent = text;
    note.hidden = !text;
  }

  // Photographs of an iPhone: hardly a browser can show HEIC, and the server cannot read it.
  function refused(upload, file) {
    const heic = file && (/^image\/hei[cf]/.test(file.type) || /\.hei[cf]$/i.test(file.name));
    say(upload, heic ? _('A HEIC picture cannot be read here. Save it as JPEG or PNG and upload that.') : '');
    return heic;
  }
  document.addEventListener('change', e => {
    const upload = e.target.matches('input[type=file]') && e.target.closest('.upload');
    if (!upload || !refused(upload, e.target.files[0])) return;
    e.target.value = '';
    e.stopImmediatePropagation();
  }, true);
  document.addEventListener('drop', e => {
    const upload = e.target.closest('.upload');
    if (!upload || !refused(upload, e.dataTransfer.files[0])) return;
    e.preventDefault();
    e.stopImmediatePropagation();
  }, true);

  // Over plain http a page may not read the clipboard when asked, but it gets what is pasted with the keyboard.
  let pasteTarget = null;
  document.addEventListener('click', e => { pasteTarget = e.target.closest('.upload') || pasteTarget; }, true);
  document.addEventListener('paste', e => {
    const file = [...e.clipboardData.files].find(f => f.type.startsWith('image/'));
    const upload = document.activeElement?.closest('.upload') || pasteTarget;
    if (!file || !upload || e.target.matches?.('input, textarea')) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    if (!upload.querySelector('input[type=file]')) upload.querySelector('[aria-label="Upload file"]')?.click();
    const files = new DataTransfer();
    files.items.add(file);
    setTimeout(() => {  // until then Gradio shows its place for the clipboard
      const input = upload.querySelector('input[type=file]');
      if (!input) return;
      input.files = files.files;
      input.dispatchEvent(new Event('change', {bubbles: true}));
    }, 100);
  }, true);
  // Gradio says nothing where there is no camera.
  const getCamera = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (!getCamera) Object.defineProperty(navigator, 'mediaDevices', {value: {enumerateDevices: async () => []}});
  navigator.mediaDevices.getUserMedia = async options => {
    try {
      if (getCamera) return await getCamera(options);
    } catch (e) {
      say(pasteTarget, e.name === 'NotAllowedError' ? _('The browser was not allowed to use the camera: allow it beside the address, and try again.') :
        _('There is no camera that the browser can use.'));
      return new Promise(() => {});  // the button stays
    }
    say(pasteTarget, _('Over plain http the browser does not let a page use the camera. Upload a picture.'));
    return new Promise(() => {});
  };
  if (!navigator.clipboard) Object.defineProperty(navigator, 'clipboard', {value: {
    async writeText(text) {
      const box = document.createElement('textarea'), focused = document.activeElement;
      box.value = text;
      document.body.append(box);
      box.select();
      document.execCommand('copy');
      box.remove();
      focused?.focus();
    },
    async read() {
      if (pasteTarget) say(pasteTarget, _('Over plain http the browser does not let a page read the clipboard. Press Ctrl+V or ⌘V to paste the picture.'));
      return [];
    },
  }});

  // Boxes that scroll can be reached with the keyboard, and what Gradio names without a role gets one.
  const BOXES = '.prose :is(table, .katex, .katex-display, pre, .code_wrap), .cm-scroller, .gallery, .scroll';
  function mark() {
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = box.clientWidth > 0 && (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) &&
        /auto|scroll/.test(getComputedStyle(box).overflow);
      if (scrolls) box.tabIndex = 0; else if (box.getAttribute('tabindex') === '0') box.removeAttribute('tabindex');
    }
    for (const e of document.querySelectorAll('div.empty[aria-label]:not([role])')) e.setAttribute('role', 'img');
    for (const e of document.querySelectorAll('.report:not(.report .report, [aria-live])')) e.setAttribute('aria-live', 'polite');
  }
  let waiting;
  const later = () => { waiting ??= setTimeout(() => { waiting = undefined; mark(); }, 300); };
  new MutationObserver(later).observe(document.body, {childList: true, subtree: true});
  for (const event of ['resize', 'click', 'keyup']) addEventListener(event, later);
  later();
}
