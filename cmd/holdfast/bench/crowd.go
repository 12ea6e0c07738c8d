package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/wire"
)

// crowd is all agents.
type crowd struct {
	agents []*agentEnd
	kinds  map[string]*kind
}

// joinAtOnce is how many agents join at a time; a collector lets no more than 16
// strangers in.
const joinAtOnce = 8

// join lets every agent join by a token of its own and begin its session.
func join(ctx context.Context, o Options, c *process) (*crowd, error) {
	kinds, err := kinds(time.Now())
	if err != nil {
		return nil, err
	}
	all := &crowd{agents: make([]*agentEnd, o.Agents), kinds: kinds}
	for i := range all.agents {
		all.agents[i] = &agentEnd{name: agentName(i), random: rand.New(rand.NewPCG(1, uint64(i)))}
	}
	began := time.Now()
	err = all.each(ctx, joinAtOnce, func(ctx context.Context, a *agentEnd) error {
		return a.join(ctx, filepath.Join(o.Data, "agents", a.name), c)
	})
	if err == nil {
		err = all.open(ctx, c)
	}
	if err != nil {
		all.close()
		return nil, err
	}
	o.say("%d agents joined in %s", o.Agents, time.Since(began).Round(10*time.Millisecond))
	return all, nil
}

// join makes the agent's key and certificate.
func (a *agentEnd) join(ctx context.Context, dir string, c *process) error {
	token, err := c.token(ctx, a.name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	a.identity, err = agent.Join(ctx, dir, c.agents, token)
	return err
}

// open begins every agent's session.
func (c *crowd) open(ctx context.Context, p *process) error {
	return c.each(ctx, joinAtOnce, func(ctx context.Context, a *agentEnd) error {
		if err := a.dial(p.agents); err != nil {
			return err
		}
		return a.open(context.WithoutCancel(ctx), c.kinds) // the session ends with close
	})
}

func (a *agentEnd) dial(address string) (err error) {
	config := a.identity.TLS()
	config.NextProtos = []string{"h2"}
	a.conn, err = grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithAuthority(wire.ServerName), grpc.WithDisableServiceConfig(),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	return err
}

// first has every agent report once.
func (c *crowd) first(ctx context.Context, o Options) error {
	return c.each(ctx, o.workers(), func(_ context.Context, a *agentEnd) error { return a.burst(1, &o) })
}

// report lets the agents report for a time, one after the other and around again.
func (c *crowd) report(ctx context.Context, o Options, d time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := make(chan *agentEnd, len(c.agents))
	for _, a := range c.agents {
		idle <- a
	}
	var wg sync.WaitGroup
	until := time.Now().Add(d)
	for range o.workers() {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(until) {
				a := <-idle
				if err := a.burst(o.Burst, &o); err != nil {
					cancel(fmt.Errorf("bench: agent %s: %w", a.name, err))
				}
				idle <- a
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// each calls f for every agent, so many at once, and stops at the first error.
func (c *crowd) each(ctx context.Context, workers int, f func(ctx context.Context, a *agentEnd) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *agentEnd)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for a := range queue {
				if err := f(ctx, a); err != nil {
					cancel(fmt.Errorf("bench: agent %s: %w", a.name, err))
				}
			}
		})
	}
	for _, a := range c.agents {
		select {
		case queue <- a:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// close ends every session.
func (c *crowd) close() {
	for _, a := range c.agents {
		if a.end != nil {
			a.end()
		}
		if a.conn != nil {
			_ = a.conn.Close() // its session is over
		}
		a.end, a.conn = nil, nil
	}
}

// forgetTimes forgets how long reports took so far.
func (c *crowd) forgetTimes() {
	for _, a := range c.agents {
		a.took = a.took[:0]
	}
}

// times returns how long reports took.
func (c *crowd) times() []time.Duration {
	var all []time.Duration
	for _, a := range c.agents {
		all = append(all, a.took...)
	}
	return all
}

func (c *crowd) sent() (n uint64) {
	for _, a := range c.agents {
		n += a.seq
	}
	return n
}

func (c *crowd) acknowledged() (n uint64) {
	for _, a := range c.agents {
		n += uint64(len(a.acked))
	}
	return n
}
