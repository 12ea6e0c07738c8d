/* The keyboard, and the palette that jumps to anything. Nothing needs it: every key
   has a link or a button. Single keys act neither while typing nor with a modifier, and
   can be turned off in this browser (WCAG 2.1.4); Ctrl K always opens the palette. */
(function () {
  'use strict';
  var root = document.documentElement, palette = document.getElementById('palette'), help = document.getElementById('help'),
      jump = document.getElementById('jump'), hits = document.getElementById('hits'), found = document.getElementById('found'),
      keys = document.getElementById('keys'), wall = root.dataset.view === 'wall', WAIT = 120, NEXT = 1500;

  /* ---- palette: the collector searches, so that 10,000 services are as quick as ten */
  var asked = 0, timer = 0, shown = '', at = -1;
  function option(h, i) {
    var li = document.createElement('li'), a = document.createElement('a');
    li.setAttribute('role', 'none');
    a.id = 'hit' + i;
    a.setAttribute('role', 'option');
    a.href = h.link;
    a.tabIndex = -1;
    if (h.state) {
      a.className = 'st-' + (h.state === 'not-judged' ? 'na' : h.state);
      a.insertAdjacentHTML('beforeend', '<svg class="g" width="16" height="16" aria-hidden="true"><use/></svg>');
      a.querySelector('use').setAttribute('href', '#g-' + (h.state === 'not-judged' ? 'na' : h.state));
    } else {
      a.insertAdjacentHTML('beforeend', '<svg class="i" width="16" height="16" aria-hidden="true"><use/></svg>');
      a.querySelector('use').setAttribute('href', '#i-' + { page: 'right', agent: 'agents', path: 'paths', service: 'overview' }[h.kind]);
    }
    [['b', h.title], ['span', h.note], ['i', h.state ? h.state.replace('-', ' ') : h.kind]].forEach(function (part) {
      var el = document.createElement(part[0]);
      el.textContent = part[1] || '';
      a.append(el);
    });
    li.append(a);
    return li;
  }
  function choose(n) {
    var list = hits.querySelectorAll('a');
    at = list.length ? (n + list.length) % list.length : -1;
    list.forEach(function (a, i) { a.setAttribute('aria-selected', i === at); });
    if (at < 0) jump.removeAttribute('aria-activedescendant'); else { jump.setAttribute('aria-activedescendant', list[at].id); list[at].scrollIntoView({ block: 'nearest' }); }
  }
  function search() {
    var q = jump.value.trim(), mine = ++asked;
    return fetch('/api/v1/search?q=' + encodeURIComponent(q), { credentials: 'same-origin', signal: AbortSignal.timeout(10000) }).then(function (r) {
      if (r.status === 401) { location.reload(); return; }
      if (!r.ok) throw new Error(r.status);
      return r.json().then(function (a) {
        if (mine !== asked) return;
        hits.replaceChildren.apply(hits, a.hits.map(option));
        shown = q;
        choose(0);
        found.textContent = a.hits.length ? (a.more ? 'The best ' + a.hits.length + ' of ' + (a.hits.length + a.more) + '.' : '') : 'Nothing is called “' + q + '”.';
      });
    }).catch(function () { if (mine === asked) found.textContent = 'The collector does not answer. Try again.'; });
  }
  function soon() { clearTimeout(timer); timer = setTimeout(search, WAIT); }
  function follow() {
    var a = hits.querySelectorAll('a')[at];
    if (a && shown === jump.value.trim()) { palette.close(); a.click(); }
  }
  function open() {
    if (help.open) help.close();
    if (!palette.open) palette.showModal();
    jump.select();
    search();
  }
  jump.addEventListener('input', soon);
  jump.addEventListener('keydown', function (e) {
    if (e.isComposing) return;
    if (e.key === 'ArrowDown') choose(at + 1); else if (e.key === 'ArrowUp') choose(at - 1); else return;
    e.preventDefault();
  });
  palette.querySelector('form').addEventListener('submit', function (e) {
    e.preventDefault();
    clearTimeout(timer);
    if (shown === jump.value.trim() && asked) follow(); else search().then(follow);
  });
  [palette, help].forEach(function (d) { d.addEventListener('click', function (e) { if (e.target === d) d.close(); }); }); // beside it
  hits.addEventListener('click', function () { palette.close(); });
  document.addEventListener('click', function (e) { if (e.target.closest('#find')) open(); });

  /* ---- single keys */
  function on() { try { return localStorage.getItem('holdfast-keys') !== 'off'; } catch (e) { return true; } }
  function told() { root.toggleAttribute('data-keys', on()); keys.checked = on(); }
  keys.addEventListener('change', function () {
    try { localStorage.setItem('holdfast-keys', keys.checked ? 'on' : 'off'); } catch (e) { /* private mode */ }
    told();
  });
  function press(id) { var el = document.getElementById(id); if (el && !el.hidden) el.click(); }
  function go(change) {
    var q = new URLSearchParams(location.search);
    change(q);
    q.delete('from');
    location.assign('/' + (q.size ? '?' + q : ''));
  }
  function turn(q, key, value) { if (q.get(key) === value) q.delete(key); else q.set(key, value); }
  function row(step) {
    var rows = Array.from(document.querySelectorAll('main [data-row]')), now = rows.findIndex(function (r) { return r.contains(document.activeElement); });
    var next = rows[Math.max(0, Math.min(rows.length - 1, now + step))], link = next && next.querySelector('a[href], button');
    if (link) { link.focus(); next.scrollIntoView({ block: 'nearest' }); }
  }
  var overview = !!document.querySelector('main.p-overview, main.p-wall'), going = 0;
  function act(key) {
    if (key === '/') open();
    else if (key === '?') help.showModal();
    else if (key === 'g') going = Date.now();
    else if (key === 'j') row(1);
    else if (key === 'k') row(-1);
    else if (key === 'u') press('up');
    else if (key === 't') press('theme');
    else if (key === '.') press('pause');
    else if (key === 'r') press('resort');
    else if (key === 'w') go(function (q) { if (!overview) Array.from(q.keys()).forEach(function (k) { q.delete(k); }); turn(q, 'view', 'wall'); });
    else if (overview && key === 'x') go(function (q) { turn(q, 'state', 'not-proven'); });
    else if (overview && key >= '1' && key <= '4') go(function (q) { turn(q, 'tier', key); });
    else return false;
    return true;
  }
  document.addEventListener('keydown', function (e) {
    if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k') { e.preventDefault(); open(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.repeat && e.key !== 'j' && e.key !== 'k') return;
    if (wall && e.key === 'Escape') { act('w'); return; }
    if (palette.open || help.open || !on() || e.target.closest('input, select, textarea, [contenteditable]')) return;
    if (Date.now() - going < NEXT) {
      going = 0;
      var link = document.querySelector('.nav a[data-key="' + CSS.escape(e.key) + '"]');
      if (link) { e.preventDefault(); link.click(); return; }
    }
    if (act(e.key)) e.preventDefault();
  });
  told();
})();
