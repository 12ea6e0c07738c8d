package alert_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast/collector/alert"
)

func TestHeartbeat(t *testing.T) {
	asked := make(chan string, 10)
	var status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(int(status.Load()))
		asked <- r.Method + " " + r.URL.Path
	}))
	t.Cleanup(server.Close)
	routes, err := alert.ParseRoutes("alerts.yaml", []byte("heartbeat: {url_file: "+file(t, server.URL+"/ping/SECRET")+", method: POST, allow_private: true}"))
	if err != nil {
		t.Fatal(err)
	}
	beat := routes.Heartbeats[0]
	alive := true
	run := func() (stop func()) {
		var running sync.WaitGroup
		ctx, cancel := contextOf(t)
		running.Go(func() { beat.Run(ctx, func() bool { return alive }) })
		return func() { cancel(); running.Wait() }
	}

	stop := run()
	select {
	case got := <-asked:
		if got != "POST /ping/SECRET" {
			t.Errorf("asked %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no heartbeat")
	}
	stop()
	if s := alert.BeatState(beat); strings.Contains(s.Target, "SECRET") {
		t.Errorf("state %+v", s)
	}

	alive = false // services are not judged: nobody is told that all is well
	ready := make(chan struct{})
	var running sync.WaitGroup
	ctx, cancel := contextOf(t)
	running.Go(func() { beat.Run(ctx, func() bool { defer func() { ready <- struct{}{} }(); return false }) })
	<-ready
	cancel()
	running.Wait()
	if s := alert.BeatState(beat); len(asked) != 0 || !strings.Contains(s.Problem, "not being judged") {
		t.Errorf("%d heartbeats while nothing is judged, state %+v", len(asked), s)
	}

	alive = true
	status.Store(http.StatusInternalServerError)
	stop = run()
	<-asked
	stop()
	if s := alert.BeatState(beat); s.Problem == "" || s.Failed.IsZero() || strings.Contains(s.Problem, "SECRET") {
		t.Errorf("state after a refusal %+v", s)
	}
}
