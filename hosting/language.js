// The page's language: texts of scripts, the switch, and which language a first visit gets. `window.page` is written before this.
(() => {
  const {language, languages, api, texts} = window.page;

  // A script's text in the page's language; values fill its {placeholders}.
  window._ = (text, values = {}) =>
    (texts[text] || text).replace(/\{(\w+)\}/g, (placeholder, name) => name in values ? values[name] : placeholder);

  const storage = {  // which the browser may refuse
    read: () => { try { return localStorage.getItem('language'); } catch (e) { return null; } },
    write: tag => { try { localStorage.setItem('language', tag); } catch (e) { /* asked again next time */ } },
  };
  const address = tag => {
    const path = location.pathname.split('/');
    if (['', api, ...languages].includes(path.at(-1))) path.pop();
    return [...path, tag === languages[0] ? '' : tag].join('/') + location.search + location.hash;
  };

  // The page in its first language is what everybody links to: a visitor's own choice comes before it, then the browser's, but
  // not for who comes from that page: their choice could not be kept.
  const browsers = languages.find(tag => navigator.language.toLowerCase().split('-')[0] === tag);
  const wanted = storage.read() || browsers;
  const isApi = location.pathname.split('/').at(-1) === api;
  const other = languages.includes(wanted) && wanted !== language && location.origin + address(wanted).replace(/[?#].*/, '');
  if (!isApi && new URLSearchParams(location.search).get('view') === 'api') location.replace(address(api).replace(/[?#].*/, ''));
  else if (!isApi && language === languages[0] && other && document.referrer.replace(/[?#].*/, '') !== other) location.replace(address(wanted));

  if (isApi) {
    const observer = new MutationObserver(() => {
      const button = document.querySelector('.show-api');
      if (!button) return;
      observer.disconnect();
      button.click();
    });
    observer.observe(document, {subtree: true, childList: true});
  }

  // Gradio words its own buttons and boxes by the browser's language, whatever the page's is.
  Object.defineProperty(navigator, 'language', {value: language === 'zh' ? 'zh-CN' : language, configurable: true});

  document.addEventListener('click', e => {
    if (!isApi && e.target.closest?.('.show-api')) {
      e.stopPropagation();
      location.assign(address(api).replace(/[?#].*/, ''));
    }
    const link = e.target.closest?.('a[data-language]');
    if (!link) return;
    e.preventDefault();
    storage.write(link.dataset.language);
    location.assign(address(link.dataset.language));
  }, true);
})();
