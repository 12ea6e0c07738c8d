/* The timeline of a service: one tab stop, arrows read a day. The days in words stand
   on the page (#reads); this only moves through them. */
(function () {
  'use strict';
  var chosen = -1; // day that is read; -1: the last

  function show() {
    var days = document.getElementById('days'), read = document.getElementById('days-read'), reads = document.getElementById('reads');
    if (!days || !read || !reads) return;
    var last = reads.children.length - 1, day = chosen < 0 ? last : Math.min(chosen, last), text = reads.children[day].textContent, cursor = days.querySelector('.cursor');
    set(days, 'aria-valuenow', day);
    set(days, 'aria-valuetext', text);
    set(cursor, 'x', 100 * day / (last + 1) + '%');
    set(cursor, 'width', 100 / (last + 1) + '%');
    set(cursor, 'visibility', chosen < 0 ? 'hidden' : 'visible');
    if (read.textContent !== text) read.textContent = text;
  }
  function set(el, name, value) { if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value); }
  function at(days, x) {
    var box = days.getBoundingClientRect();
    return Math.max(0, Math.min(days.dataset.days - 1, Math.floor((x - box.left) / box.width * days.dataset.days)));
  }

  document.addEventListener('keydown', function (e) {
    if (e.target.id !== 'days' || e.altKey || e.ctrlKey || e.metaKey) return;
    var last = e.target.dataset.days - 1, now = chosen < 0 ? last : chosen,
        to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 7, PageUp: now + 7, Home: 0, End: last }[e.key];
    if (e.key === 'Escape') { chosen = -1; show(); return; }
    if (e.key === 'Enter') {
      var words = document.getElementById('day-by-day'), line = document.getElementById('reads').children[now];
      words.open = true;
      line.tabIndex = -1;
      line.focus();
      return;
    }
    if (to === undefined) return;
    e.preventDefault();
    chosen = Math.max(0, Math.min(last, to));
    show();
  });
  document.addEventListener('pointermove', function (e) {
    var days = e.target instanceof Element && e.target.closest('#days');
    if (days) { chosen = at(days, e.clientX); show(); }
  }, { passive: true });
  document.addEventListener('pointerdown', function (e) {
    var days = e.target instanceof Element && e.target.closest('#days');
    if (days) { chosen = at(days, e.clientX); show(); }
  }, { passive: true });

  // A live update brings the page's own attributes back: what is read stays.
  new MutationObserver(show).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-valuenow'] });
  show();
})();
