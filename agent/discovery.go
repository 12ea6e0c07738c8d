package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Bounds of a look for databases: less than what a person would wait for, and a
// first one soon after the start.
const (
	discoverFirst  = time.Minute
	discoverFiles  = 100_000
	discoverWithin = 30 * time.Second
)

// discovery looks now and then for the databases of this host. The collector holds
// them against its catalogue: what no check covers, nobody would miss until it is
// gone.
type discovery struct {
	every  time.Duration // 0: never
	except []string      // globs of paths that are nobody's business
	look   func(context.Context, discover.Options) (discover.Report, error)
	log    *slog.Logger
	news   chan struct{} // holds one: there is something to tell

	mu    sync.Mutex
	found *holdfast.Found // guarded by mu; nil: not looked yet. Never changed in place.
}

func newDiscovery(c Config, log *slog.Logger) *discovery {
	return &discovery{every: c.Discover.Std(), except: c.DiscoverExcept, look: discover.Look, log: log, news: make(chan struct{}, 1)}
}

// run looks until ctx is done.
func (d *discovery) run(ctx context.Context) {
	if d.every <= 0 {
		return
	}
	wait := rand.N(min(d.every, discoverFirst))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		d.once(ctx)
		probe.GiveBack()
		wait = d.every - d.every/10 + rand.N(d.every/5+1)
	}
}

func (d *discovery) once(ctx context.Context) {
	r, err := d.look(ctx, discover.Options{Files: discoverFiles, Within: discoverWithin})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.log.Error("look for databases on this host", "error", err)
		return
	}
	f := &holdfast.Found{At: r.At}
	for _, x := range r.Databases[:min(len(r.Databases), holdfast.MaxFound)] {
		if !d.excepted(x.Path) {
			f.Databases = append(f.Databases, x)
		}
	}
	for _, u := range r.Unread[:min(len(r.Unread), holdfast.MaxUnread)] {
		f.Unread = append(f.Unread, cut8(u.Path, holdfast.MaxText))
	}
	d.mu.Lock()
	d.found = f
	d.mu.Unlock()
	d.log.Debug("looked for databases on this host", "databases", len(f.Databases), "took", r.Took, "unread", len(r.Unread))
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// excepted reports whether the host's owner leaves a path out: by a glob of the
// path itself or of a folder it lies in.
func (d *discovery) excepted(p string) bool {
	return p != "" && slices.ContainsFunc(d.except, func(pattern string) bool {
		for dir := p; ; dir = path.Dir(dir) {
			if ok, _ := path.Match(pattern, dir); ok || !strings.HasPrefix(dir, "/") || dir == "/" {
				return ok
			}
		}
	})
}

// latest returns what was found last; nil: not looked yet.
func (d *discovery) latest() *holdfast.Found {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.found
}
