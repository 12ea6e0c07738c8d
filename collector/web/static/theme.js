/* Runs before the page is drawn: light or dark as chosen in this browser. The
   wallboard is dark unless it was told otherwise on this screen. */
(function () {
  'use strict';
  var root = document.documentElement, key = root.dataset.view === 'wall' ? 'holdfast-theme-wall' : 'holdfast-theme';
  root.dataset.script = '';
  try { var t = localStorage.getItem(key); if (t) root.dataset.theme = t; } catch (e) { /* private mode */ }
})();
