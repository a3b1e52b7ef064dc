const box = find('input'), note = find('.note');
window.links?.port(props.place, trigger);

find('button').addEventListener('click', async () => {
  const {address, missing} = await window.links.copied(props.place);
  let copied = false;
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(address);
      copied = true;
    } catch (e) { /* not allowed */ }
  }
  box.hidden = copied;
  if (!copied) {  // plain http: a text to copy with the keyboard
    box.value = address;
    box.focus();
    box.select();
  }
  note.textContent = (copied ? _('Copied.') : _('Press Ctrl+C or ⌘C.')) + (missing ? ' ' + _('Pictures and long texts are not in a link.') : '');
});
