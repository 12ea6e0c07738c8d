package web

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages holds the parsed templates and the files beside them.
type pages struct {
	templates map[string]*template.Template // by page
	files     map[string]file               // by path below /static/
	run       string                        // differs at every start: no page of a former run is taken for current
	build     string                        // hash of the static files and templates: an open page of another build is loaded anew
}

// file is a static file and the hash of its content.
type file struct {
	content []byte
	hash    string
}

func newPages(now func() time.Time) (*pages, error) {
	p := &pages{templates: map[string]*template.Template{}, files: map[string]file{}, run: rand.Text()[:8]}
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		sum := sha256.Sum256(content)
		p.files[strings.TrimPrefix(name, "static/")] = file{content, hex.EncodeToString(sum[:6])}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	if p.build, err = p.sum(); err != nil {
		return nil, err
	}
	funcs := words(now)
	funcs["build"] = func() string { return p.build }
	funcs["asset"] = func(name string) string { return "/static/" + name + "?v=" + p.files[name].hash }
	for _, page := range []string{"overview", "service", "check", "record", "data", "paths", "drills", "drill", "drillplan", "alerts", "agents", "agent", "login", "missing", "wall", "settings", "secret"} {
		t, err := template.New(page).Funcs(funcs).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/charts.html", "templates/observed.html", "templates/"+page+".html")
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", page, err)
		}
		p.templates[page] = t
	}
	return p, nil
}

// sum hashes everything an open page is made of.
func (p *pages) sum() (string, error) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		fmt.Fprintln(h, name, p.files[name].hash)
	}
	err := fs.WalkDir(templateFiles, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := templateFiles.ReadFile(name)
		h.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("templates: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// contentTypes are those of the static files, whatever this machine thinks of
// their names.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// static serves the files beside the pages. An address with the right hash never
// changes its content and may be kept for ever.
func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/static/")
	f, ok := p.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+f.hash+`"`)
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}

// addPages adds what people open.
func (s *server) addPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.overviewPage)
	mux.HandleFunc("GET /services/{name}", s.servicePage)
	s.addRecordPages(mux)
	s.addRuns(mux)
	mux.HandleFunc("GET /data", s.dataPage)
	mux.HandleFunc("GET /data.csv", s.dataCSV)
	mux.HandleFunc("GET /paths", s.pathsPage)
	mux.HandleFunc("GET /agents", s.agentsPage)
	mux.HandleFunc("GET /agents/{name}", s.agentPage)
	s.addAlertsPages(mux)
	s.addDrillPages(mux)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /logout", s.logout)
	s.addSettings(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.missingPage(w, r, "There is no page "+r.URL.Path)
	})
}

// missingPage says that something is not there.
func (s *server) missingPage(w http.ResponseWriter, r *http.Request, what string) {
	s.show(w, r, http.StatusNotFound, "missing", "Not found", what)
}

// tick is how long a page stays the same although nothing changed: bars grow.
const tick = 15 * time.Second

// unchanged answers 304 if the reader has the page as it is now. It is asked
// before a page is made; the revision is read first, so that a change in between
// is heard of afterwards.
func (s *server) unchanged(w http.ResponseWriter, r *http.Request) bool {
	tag := fmt.Sprintf(`"%s-%d-%d"`, s.pages.run, s.c.Revision(), s.c.Now().UnixNano()/int64(tick))
	w.Header().Set("ETag", tag)
	w.Header().Set("Vary", "X-Fragment, Cookie")
	if r.Header.Get("If-None-Match") != tag {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// show renders a page for whom it is asked by, or only what stands in <main>
// where the script of an open page asks: X-Fragment: main.
func (s *server) show(w http.ResponseWriter, r *http.Request, status int, page, title string, body any) {
	f := frame{Page: page, Title: title, Who: whoIs(r.Context()), Revision: s.c.Revision(), Body: body}
	s.surround(&f)
	if r.Header.Get("X-Fragment") == "main" {
		s.write(w, status, page, "fragment", f)
		return
	}
	s.render(w, status, page, f)
}

// render writes a whole page.
func (s *server) render(w http.ResponseWriter, status int, page string, f frame) {
	f.Page = page
	s.write(w, status, page, "layout", f)
}

func (s *server) write(w http.ResponseWriter, status int, page, part string, f frame) {
	f.Version, f.Now = s.version, s.c.Now()
	var b bytes.Buffer
	if err := s.pages.templates[page].ExecuteTemplate(&b, part, &f); err != nil {
		s.log.Error("page not rendered", "page", page, "err", err)
		http.Error(w, "this page cannot be shown; the collector's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(visible(b.Bytes())) // an error means the reader is gone
}

// visible replaces what no page of ours holds and only foreign text can bring in:
// control characters, and those that turn the direction of writing.
func visible(page []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
			return '\uFFFD'
		}
		return r
	}, page)
}
