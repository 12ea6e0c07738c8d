/* Keeps an open page true. The collector only says that something changed; every tab
   then reads its own address again and morphs <main> in place. One stream per browser:
   the tab that holds the lock listens and tells the others. Without a stream the same
   reading happens every 30 s. */
(function () {
  'use strict';
  var root = document.documentElement, main = document.getElementById('main'), live = document.getElementById('live'),
      pauseButton = document.getElementById('pause'), wall = root.dataset.view === 'wall',
      POLL = 30000, GAP = 1000, LATE = 15000, DEAD = 35000;
  var etag = '', rev = +main.dataset.rev, build = main.dataset.build, wanted = false, reading = false, timer = 0, paused = false, streaming = null, // null: not known yet
      fails = 0, seen = Date.now(), lostSince = 0, nextTry = 0, changed = new Map();

  /* ---- ages tick here; the server writes them the same way (text.go, span) */
  function pad(n) { return (n < 10 ? '0' : '') + n; }
  function two(a, u, b, v) { return b ? a + u + ' ' + pad(b) + v : a + u; }
  function span(ms) {
    var s = Math.floor(ms / 1000);
    if (s < 60) return s + ' s';
    if (s < 600) return two(Math.floor(s / 60), 'm', s % 60, 's');
    if (s < 3600) return Math.floor(s / 60) + 'm';
    if (s < 36000) return two(Math.floor(s / 3600), 'h', Math.floor(s / 60) % 60, 'm');
    if (s < 172800) return Math.floor(s / 3600) + 'h';
    return Math.floor(s / 86400) + 'd';
  }
  var skew = Date.parse(main.dataset.now) - Date.now(); // the collector's clock minus this browser's
  function tickAges() {
    say();
    settle();
    if (paused || lostSince) return;
    var now = Date.now() + skew;
    document.querySelectorAll('time[data-t]').forEach(function (el) {
      var d = now - Date.parse(el.dateTime), text;
      switch (el.dataset.t) {
        case 'age': text = span(Math.max(0, d)); break;
        case 'ago': text = span(Math.max(0, d)) + ' ago'; break;
        case 'in': text = d < 0 ? 'in ' + span(-d) : span(d) + ' ago'; break;
        case 'clock': text = new Date(now).toISOString().slice(11, 16) + el.textContent.slice(5); break;
        default: return;
      }
      if (el.textContent !== text) el.textContent = text;
    });
  }

  /* ---- how live the page is; the word is spoken when it changes, the seconds are not */
  function put(el, text) { if (el.textContent !== text) el.textContent = text; }
  function say() {
    var age = Date.now() - seen;
    if (streaming === null && !paused && !lostSince && age < LATE) return; // the page says as of when it is
    var late = age > (streaming ? LATE : POLL + LATE), state = paused ? 'paused' : lostSince ? 'lost' : late ? 'late' : 'on',
        word = { paused: 'Paused', lost: 'Not live', late: 'Late', on: streaming ? 'Live' : 'Every 30 s' }[state];
    live.toggleAttribute('data-on', state === 'on');
    live.dataset.state = state;
    put(live.children[0], word);
    put(live.children[1], paused ? '' : ', updated ' + span(age) + ' ago');
    if (!lostSince) return;
    put(document.getElementById('since'), clock(lostSince + skew) + ', ' + span(Date.now() - lostSince));
    put(document.getElementById('retry'), reading ? 'Trying again now.' : 'Trying again in ' + span(Math.max(0, nextTry - Date.now())) + '.');
  }
  function clock(t) { return new Date(t).toISOString().slice(11, 19) + ' UTC'; }
  function lost() {
    fails++;
    if (!lostSince) { lostSince = seen; root.dataset.conn = 'lost'; }
    var wait = Math.min(30, Math.pow(2, fails)) * 1000;
    nextTry = Date.now() + wait;
    document.getElementById('lost').hidden = false;
    again(wait);
    say();
  }
  function found() {
    seen = Date.now(); fails = 0;
    if (lostSince) { lostSince = 0; delete root.dataset.conn; document.getElementById('lost').hidden = true; }
    say();
  }

  /* ---- nothing moves under the pointer: rows are sorted again only once it has been
     still for 10 s and is out of them, nor is the focus among them; or when asked to */
  var moved = 0, mouse = true, order = null, CALM = 10000;
  function inRows(e) { return e.target instanceof Element && e.target.closest('#rows'); }
  ['pointermove', 'pointerdown'].forEach(function (kind) {
    document.addEventListener(kind, function (e) { mouse = e.pointerType === 'mouse'; if (mouse || inRows(e)) moved = Date.now(); }, { passive: true });
  });
  function calm(rows) {
    return wall || Date.now() - moved > CALM && !(mouse && rows.matches(':hover')) && !rows.contains(document.activeElement);
  }
  function listed(rows) { return Array.from(rows.children).filter(function (r) { return r.id; }); } // a table's head has none
  function ids(rows) { return listed(rows).map(function (r) { return r.id; }); }
  function sort(rows, wanted) {
    var place = new Map(wanted.map(function (id, i) { return [id, i]; }));
    listed(rows).map(function (r, i) { return [place.has(r.id) ? place.get(r.id) : wanted.length + i, r]; })
      .sort(function (a, b) { return a[0] - b[0]; }).forEach(function (p) { rows.append(p[1]); });
  }
  function keepOrder(next) {
    var now = main.querySelector('#rows'), then = next.querySelector('#rows');
    order = null;
    if (!now || !then || calm(now)) return;
    var wanted = ids(then);
    sort(then, ids(now));
    if (ids(then).join('\n') !== wanted.join('\n')) order = wanted;
  }
  function resort() {
    var rows = document.getElementById('rows'), focused = document.activeElement;
    if (!rows || !order) return;
    sort(rows, order);
    order = null;
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
    offer();
  }
  function offer() { var b = document.getElementById('resort'); if (b) b.classList.toggle('off', !order); }
  function settle() { var rows = order && document.getElementById('rows'); if (rows && calm(rows)) resort(); }

  /* ---- a row that changed its state stays marked until it is looked at */
  function states() {
    var m = new Map();
    document.querySelectorAll('#rows > [data-state]').forEach(function (r) { m.set(r.id, r.dataset.state); });
    return m;
  }
  function mark(before) {
    states().forEach(function (state, id) { if (before.has(id) && before.get(id) !== state) changed.set(id, Date.now()); });
    changed.forEach(function (at, id) {
      var row = document.getElementById(id);
      if (row && Date.now() - at < 1800000) row.classList.add('changed'); else changed.delete(id);
    });
  }
  document.addEventListener('pointerover', function (e) {
    var row = inRows(e) && e.target.closest('.changed');
    if (row) look(row);
  });
  document.addEventListener('focusin', function (e) { var row = inRows(e) && e.target.closest('.changed'); if (row) look(row); });
  function look(row) { setTimeout(function () { changed.delete(row.id); row.classList.remove('changed'); }, 2000); }

  /* ---- what stands around <main> follows it: the tab's title and mark, the menu's counts */
  function surround(data, next) {
    var bar = document.getElementById('drilling'), drills = next.querySelector('#drills-now');
    if (bar && drills && bar.dataset.was !== drills.innerHTML) { bar.dataset.was = drills.innerHTML; bar.replaceChildren(drills.content.cloneNode(true)); }
    document.title = data.title;
    var icon = document.getElementById('icon');
    if (icon.getAttribute('href') !== data.icon) icon.setAttribute('href', data.icon);
    data.counts.trim().split(/\s+/).forEach(function (pair) {
      var at = pair.indexOf('=');
      document.querySelectorAll('[data-n="' + pair.slice(0, at) + '"]').forEach(function (el) { el.textContent = pair.slice(at + 1); });
    });
  }

  function morph(html) {
    var next = new DOMParser().parseFromString(html, 'text/html').getElementById('main'), before = states();
    if (!next) return;
    if (next.dataset.build !== build) { outdated(); return; }
    keepOrder(next);
    rev = +next.dataset.rev;
    skew = Date.parse(next.dataset.now) - Date.now();
    surround(next.dataset, next);
    Idiomorph.morph(main, next, {
      morphStyle: 'outerHTML', ignoreActiveValue: true, restoreFocus: true,
      callbacks: {
        beforeNodeMorphed: function (node) { return !(node instanceof Element && node.hasAttribute('data-keep')); },
        beforeAttributeUpdated: function (attr, node) { return !(attr === 'open' && node.tagName === 'DETAILS'); }
      }
    });
    main = document.getElementById('main');
    mark(before);
    offer();
    tickAges();
  }

  /* ---- the collector was replaced by another version: its pages are not ours */
  function outdated() {
    if (wall) { location.reload(); return; }
    document.getElementById('newer').hidden = false;
    paused = true;
    say();
  }

  /* ---- reading this page again */
  function again(ms) { clearTimeout(timer); timer = setTimeout(read, ms); }
  function want(ms) {
    wanted = true;
    if (!document.hidden && !paused && !reading && !lostSince) again(Math.max(ms, seen + GAP - Date.now()));
  }
  function read() {
    if (reading || paused || document.hidden) { wanted = true; return; }
    reading = true; wanted = false;
    clearTimeout(timer);
    var headers = { 'X-Fragment': 'main' };
    if (etag) headers['If-None-Match'] = etag;
    fetch(location.pathname + location.search, { headers: headers, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(10000) }).then(function (r) {
      if (r.status === 401) { location.reload(); return; }
      if (r.status === 304) return;
      if (!r.ok && r.status !== 404) throw new Error(r.status);
      etag = r.headers.get('ETag') || '';
      return r.text().then(morph);
    }).then(function () {
      reading = false;
      found();
      again(wanted ? GAP : POLL);
    }, function () { reading = false; lost(); });
  }
  function heard(n) {
    if (n !== rev) want(100 + Math.random() * 150); else if (!lostSince && !paused) seen = Date.now();
  }

  /* ---- one stream per browser */
  var channel = 'BroadcastChannel' in window ? new BroadcastChannel('holdfast') : null;
  var last = null; // what the listening tab told; null: this tab does not listen
  if (channel) channel.onmessage = function (e) {
    if (!e.data.hello) take(e.data); else if (last) channel.postMessage(last);
  };
  function take(m) {
    streaming = m.streaming;
    if (m.streaming && lostSince || !m.streaming && !lostSince) again(0); else if (m.rev !== undefined) heard(m.rev);
    say();
  }
  function tell(m) { last = m; take(m); if (channel) channel.postMessage(m); }
  function listen() {
    return new Promise(function () {
      var source, wait = 0, beat = Date.now();
      function open() {
        beat = Date.now();
        source = new EventSource('/events');
        source.onmessage = function (e) { wait = 0; beat = Date.now(); tell({ streaming: true, rev: JSON.parse(e.data).rev }); };
        source.onerror = function () {
          if (streaming !== false) tell({ streaming: false });
          if (source.readyState === EventSource.CLOSED) { wait = Math.min(30, wait * 2 + 2); setTimeout(open, wait * 1000); beat = Date.now() + wait * 1000; }
        };
      }
      setInterval(function () { // a stream that says nothing any more is dead, whatever the network thinks
        if (Date.now() - beat < DEAD) return;
        source.close();
        if (streaming !== false) tell({ streaming: false });
        open();
      }, 5000);
      open();
    });
  }
  if (channel) channel.postMessage({ hello: true });
  if (navigator.locks && channel) navigator.locks.request('holdfast-events', listen).catch(function () { });
  else listen();

  document.addEventListener('visibilitychange', function () { if (!document.hidden) again(0); });
  window.addEventListener('pageshow', function (e) { if (e.persisted) again(0); });

  /* ---- buttons; each is at most on some pages */
  document.addEventListener('click', function (e) {
    if (e.target.closest('#again')) { fails = 0; again(0); }
    if (e.target.closest('#reload')) location.reload();
    if (e.target.closest('#pause')) pause();
    if (e.target.closest('#theme')) theme();
    if (e.target.closest('#resort')) resort();
    var copy = e.target.closest('[data-copy]');
    if (copy) navigator.clipboard.writeText(copy.previousElementSibling.textContent).then(function () { put(copy, 'Copied'); }, function () { put(copy, 'Not allowed here'); });
    var link = e.target.closest('a[href^="#e"]');
    if (link) { var d = document.getElementById(link.hash.slice(1)); if (d && d.tagName === 'DETAILS') d.open = true; }
  });
  function pause() {
    paused = !paused;
    pauseButton.setAttribute('aria-pressed', paused);
    put(pauseButton.firstElementChild, paused ? 'Go on' : 'Pause');
    if (!paused) again(0);
    say();
  }
  function theme() {
    var dark = (root.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
    root.dataset.theme = dark ? 'light' : 'dark';
    try { localStorage.setItem(wall ? 'holdfast-theme-wall' : 'holdfast-theme', root.dataset.theme); } catch (e) { /* private mode */ }
  }

  /* ---- a page that takes longer than 300 ms says that it is on its way */
  function leaving() { setTimeout(function () { root.dataset.leaving = ''; }, 300); }
  document.addEventListener('submit', function (e) { if (!e.defaultPrevented && e.target.method !== 'dialog') leaving(); });
  document.addEventListener('click', function (e) {
    var a = e.target.closest('a[href]');
    if (a && !e.defaultPrevented && e.button === 0 && !e.ctrlKey && !e.metaKey && !e.shiftKey && !a.target && !a.hasAttribute('download') && a.pathname + a.search !== location.pathname + location.search) leaving();
  });
  window.addEventListener('pageshow', function () { delete root.dataset.leaving; });
  document.addEventListener('change', function (e) { if (e.target.matches('#filters select')) e.target.form.requestSubmit(); });
  if (location.hash) { var d = document.getElementById(location.hash.slice(1)); if (d && d.tagName === 'DETAILS') d.open = true; }

  setInterval(tickAges, 1000);
  again(POLL);
  tickAges();
})();
