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

  // A sentence under a place for uploads, which a screen reader speaks.
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
    say(upload, heic ? 'A HEIC picture cannot be read here. Save it as JPEG or PNG and upload that.' : '');
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
      if (pasteTarget) say(pasteTarget, 'Over plain http the browser does not let a page read the clipboard. Press Ctrl+V or ⌘V to paste the picture.');
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
  }
  let waiting;
  const later = () => { waiting ??= setTimeout(() => { waiting = undefined; mark(); }, 300); };
  new MutationObserver(later).observe(document.body, {childList: true, subtree: true});
  for (const event of ['resize', 'click', 'keyup']) addEventListener(event, later);
  later();
}
