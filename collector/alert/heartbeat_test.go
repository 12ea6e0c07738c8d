package alert_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// pulse is a heartbeat every ten seconds at an address that is a secret.
func pulse(t *testing.T, address string) alert.Heartbeat {
	t.Helper()
	routes, err := alert.ParseRoutes("alerts.yaml", []byte("heartbeat: {url_file: "+file(t, address)+", method: POST, every: 10s, allow_private: true}"))
	if err != nil {
		t.Fatal(err)
	}
	return routes.Heartbeats[0]
}

// later is when a trouble that began now is said.
func later() time.Time { return time.Now().Add(2 * time.Minute) }

func TestHeartbeat(t *testing.T) {
	asked := make(chan string, 10)
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		asked <- r.Method + " " + r.URL.Path
	}))
	t.Cleanup(server.Close)
	beat := pulse(t, server.URL+"/ping/SECRET")
	once := func(code int) {
		t.Helper()
		status.Store(int64(code))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { beat.Run(ctx, func() bool { return true }) })
		select {
		case got := <-asked:
			if got != "POST /ping/SECRET" {
				t.Errorf("asked %q", got)
			}
		case <-time.After(time.Minute):
			t.Error("no heartbeat")
		}
		// The answer is on its way: wait until it was noted, or the test's deadline.
		for _, bad := beat.Trouble(later()); bad != (code != http.StatusOK); _, bad = beat.Trouble(later()) {
			runtime.Gosched()
		}
		cancel()
		running.Wait()
	}
	once(http.StatusInternalServerError)
	n, _ := beat.Trouble(later())
	if !strings.Contains(n.Text, "answered 500") || strings.Contains(n.Text, "SECRET") || n.Since.IsZero() {
		t.Errorf("trouble %+v", n)
	}
	if _, yes := beat.Trouble(time.Now()); yes {
		t.Error("one missed heartbeat is said at once")
	}
	once(http.StatusOK)
}

// While services are not judged nobody is told that all is well.
func TestHeartbeatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beat := pulse(t, "http://127.0.0.1:1/ping")
		var running sync.WaitGroup
		asked := 0
		running.Go(func() { beat.Run(t.Context(), func() bool { asked++; return false }) })
		<-time.After(59 * time.Second)
		if n, yes := beat.Trouble(time.Now()); yes {
			t.Errorf("said after 59 s: %+v", n)
		}
		<-time.After(2 * time.Second)
		if n, yes := beat.Trouble(time.Now()); !yes || !strings.Contains(n.Text, "services are not being judged") || asked != 7 {
			t.Errorf("after 61 s: %+v, asked %d times", n, asked)
		}
	})
}
