/* The matrix is a table of links. With this script it is one tab stop: arrow keys, Home,
   End, Page Up and Page Down move in it, Enter follows the link. */
(function () {
  'use strict';
  var at = null; // id of the row and number of the cell that hold the tab stop
  function cells(row) { return Array.from(row.querySelectorAll('a')); }
  function rows(m) { return Array.from(m.tBodies[0].rows); }
  function set(el, name, value) { if (el.getAttribute(name) !== value) el.setAttribute(name, value); }
  function settle() {
    var m = document.getElementById('matrix');
    if (!m) return;
    set(m, 'role', 'grid');
    m.querySelectorAll('td').forEach(function (td) { set(td, 'role', 'gridcell'); });
    var row = at && document.getElementById(at.row), stop = row && cells(row)[at.cell] || m.querySelector('tbody a');
    m.querySelectorAll('tbody a').forEach(function (a) { set(a, 'tabindex', a === stop ? '0' : '-1'); });
  }
  function hold(a) {
    var row = a.closest('tr');
    at = { row: row.id, cell: cells(row).indexOf(a) };
    settle();
  }
  document.addEventListener('focusin', function (e) {
    var a = e.target.closest('#matrix tbody a');
    if (a) hold(a);
  });
  document.addEventListener('keydown', function (e) {
    var a = e.target instanceof Element && e.target.closest('#matrix tbody a');
    if (!a || e.ctrlKey || e.altKey || e.metaKey) return;
    var list = rows(document.getElementById('matrix')), row = a.closest('tr'), y = list.indexOf(row), line = cells(row), x = line.indexOf(a);
    switch (e.key) {
      case 'ArrowRight': x++; break;
      case 'ArrowLeft': x--; break;
      case 'ArrowDown': y++; break;
      case 'ArrowUp': y--; break;
      case 'PageDown': y += 10; break;
      case 'PageUp': y -= 10; break;
      case 'Home': x = 0; break;
      case 'End': x = line.length - 1; break;
      default: return;
    }
    e.preventDefault();
    y = Math.max(0, Math.min(list.length - 1, y));
    line = cells(list[y]);
    line[Math.max(0, Math.min(line.length - 1, x))].focus();
  });
  new MutationObserver(settle).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['role', 'tabindex'] });
  settle();
})();
