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

	mu    sync.Mutex
	state holdfast.ReceiverState // guarded by mu
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

// State says how the heartbeat does.
func (p *ping) State() holdfast.ReceiverState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *ping) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Name, p.state.Type, p.state.Target = "heartbeat", "heartbeat", p.target
	if err != nil {
		p.state.Failed, p.state.Problem = time.Now(), err.Error()
		return
	}
	p.state.Delivered, p.state.Problem = time.Now(), ""
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
