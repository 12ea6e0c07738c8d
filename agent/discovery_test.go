package agent_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/agent/discover"
)

// TestDiscoveryLooksNowAndThen: soon after the start, then about as often as told,
// without what the host's owner leaves out; never where it is off.
func TestDiscoveryLooksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks []time.Duration
		began := time.Now()
		look := func(context.Context, discover.Options) (discover.Report, error) {
			looks = append(looks, time.Since(began))
			return discover.Report{At: time.Now(), Databases: []holdfast.FoundDatabase{
				{Kind: holdfast.SQLite, Path: "/home/ada/notes/n.db"}, {Kind: holdfast.SQLite, Path: "/srv/test-7/x.db"}, {Kind: holdfast.SQLite, Path: "/srv/shop.db"},
				{Kind: holdfast.Redis, Port: 6379},
			}, Unread: []discover.Unread{{Path: "/var/lib/postgresql", Why: "permission denied"}}}, nil
		}
		config := agent.Config{Discover: holdfast.Duration(time.Hour), DiscoverExcept: []string{"/home", "/srv/test-*"}}
		run, latest, _ := agent.NewDiscovery(config, look, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Hour)
		defer stop()
		if latest() != nil {
			t.Error("something is found before anybody looked")
		}
		run(ctx)
		if n := len(looks); n < 9 || n > 12 || looks[0] > time.Minute || (looks[1]-looks[0]-time.Hour).Abs() > 6*time.Minute {
			t.Errorf("looked at %v, want soon after the start and then about every hour for ten hours", looks)
		}
		got := latest()
		var paths []string
		for _, d := range got.Databases {
			paths = append(paths, d.Kind+d.Path)
		}
		if diff := cmp.Diff(paths, []string{"sqlite/srv/shop.db", "redis"}); diff != "" {
			t.Errorf("databases told (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(got.Unread, []string{"/var/lib/postgresql"}); diff != "" {
			t.Errorf("unread told (-got +want):\n%s", diff)
		}
		looks = nil
		run, latest, _ = agent.NewDiscovery(agent.Config{}, look, slog.New(slog.DiscardHandler))
		run(t.Context())
		if looks != nil || latest() != nil {
			t.Errorf("it is off, and looked at %v", looks)
		}
	})
}

// TestFoundIsTold: what was found is told when a session begins and after every
// look.
func TestFoundIsTold(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	var mu sync.Mutex
	f := &holdfast.Found{At: time.Now(), Databases: []holdfast.FoundDatabase{{Kind: holdfast.PostgreSQL, Path: "/srv/pg", Port: 5432, Running: true}}}
	news := make(chan struct{}, 1)
	p.config.Found = func() *holdfast.Found { mu.Lock(); defer mu.Unlock(); return f }
	p.config.FoundNews = news
	p.run()
	j.wait(t, "what is known when the session begins", func() bool { return len(j.found) == 1 })
	if got := j.found[0].Databases; len(got) != 1 || got[0].Path != "/srv/pg" || !got[0].Running {
		t.Errorf("told %+v, want the running cluster", got)
	}
	mu.Lock()
	f = &holdfast.Found{At: time.Now()}
	mu.Unlock()
	news <- struct{}{}
	j.wait(t, "what the next look found", func() bool { return len(j.found) == 2 })
	if got := j.found[1]; len(got.Databases) != 0 || got.At.Before(j.found[0].At) {
		t.Errorf("told %+v, want that there is none any more", got)
	}
}
