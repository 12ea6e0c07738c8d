/* Runs before the page is drawn: light or dark as chosen in this browser. */
(function () {
  'use strict';
  var root = document.documentElement;
  root.dataset.script = '';
  try { var t = localStorage.getItem('holdfast-theme'); if (t) root.dataset.theme = t; } catch (e) { /* private mode */ }
})();
