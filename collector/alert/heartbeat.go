package alert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// ping tells a dead-man's switch (healthchecks.io, a push monitor, another
// Alertmanager's watchdog) that this collector judges and sends. When it falls
// silent, that one wakes people.
type ping struct {
	url    func() (string, error)
	target string
	method string
	every  time.Duration
	client *http.Client

	mu      sync.Mutex
	problem string    // guarded by mu: why the last one was not taken; empty: it was
	since   time.Time // guarded by mu: of the first of those that were not
}

// Run pings at once and then every so often while alive answers true, until ctx
// ends.
func (p *ping) Run(ctx context.Context, alive func() bool) {
	defer p.client.CloseIdleConnections()
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		switch {
		case alive():
			p.note(p.once(ctx))
		default:
			p.note(errors.New("not sent: services are not being judged"))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Trouble says that the watcher has heard nothing for two heartbeats, and at least
// troubleAfter: it has woken somebody, or soon will.
func (p *ping) Trouble(now time.Time) (holdfast.Notice, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.problem == "" || now.Sub(p.since) < max(2*p.every, troubleAfter) {
		return holdfast.Notice{}, false
	}
	return holdfast.Notice{Text: "The heartbeat does not reach " + p.target + ": whoever watches it takes this collector for dead\n" + p.problem, Since: p.since}, true
}

func (p *ping) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.problem = ""
	case p.problem == "":
		p.since = time.Now()
		fallthrough
	default:
		p.problem = err.Error()
	}
}

func (p *ping) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(p.every, deliveryTime))
	defer cancel()
	address, err := p.url()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, p.method, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", plain(err))
	}
	return do(p.client, req)
}
