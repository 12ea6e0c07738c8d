/* What is kept in this browser alone: colours, single keys. */
(function () {
  'use strict';
  function kept(name) { try { return localStorage.getItem(name) || ''; } catch (e) { return ''; } }
  function keep(name, value) { try { if (value) localStorage.setItem(name, value); else localStorage.removeItem(name); } catch (e) { /* private mode */ } }
  function show() {
    var theme = document.getElementById('set-theme'), keys = document.getElementById('set-keys');
    if (!theme || !keys) return;
    theme.value = kept('holdfast-theme');
    keys.checked = kept('holdfast-keys') !== 'off';
  }
  document.addEventListener('change', function (e) {
    if (e.target.id === 'set-theme') {
      keep('holdfast-theme', e.target.value);
      if (e.target.value) document.documentElement.dataset.theme = e.target.value; else delete document.documentElement.dataset.theme;
    }
    if (e.target.id === 'keys') show();
    if (e.target.id === 'set-keys') {
      var same = document.getElementById('keys'); // the switch in the help, which keeps it
      same.checked = e.target.checked;
      same.dispatchEvent(new Event('change'));
    }
  });
  show();
})();
