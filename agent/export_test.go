package agent

import (
	"context"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
)

// SetFormat makes an outbox look as if a program of that format had written it.
func SetFormat(o *Outbox, format int) {
	err := o.db.Update(func(tx *bbolt.Tx) error {
		return put(tx.Bucket(metaBucket), standingKey, standing{Format: format})
	})
	if err != nil {
		panic(err)
	}
}

// SetToolDirs has a policy look for programs elsewhere.
func SetToolDirs(p *Policy, dirs ...string) { p.dirs = dirs }

// NewLooker returns the look function of an agent.
func NewLooker(c Config, probes prober, firstParty []holdfast.Description, now func() time.Time) func(context.Context, holdfast.Check) (holdfast.Observation, bool) {
	return newLooker(NewPolicy(c, firstParty), probes, firstParty, now, slog.New(slog.DiscardHandler)).look
}

// LookUnder is NewLooker for an agent that was sent a key for credentials.
func LookUnder(c Config, probes prober, firstParty []holdfast.Description, now func() time.Time, key []byte) func(context.Context, holdfast.Check) (holdfast.Observation, bool) {
	l := newLooker(NewPolicy(c, firstParty), probes, firstParty, now, slog.New(slog.DiscardHandler))
	l.credentials.rounds = 1000 // the race detector makes each slow
	l.credentials.rekey(key)
	return l.look
}

var Gather = gather

// Kill ends an outbox as kill -9 does: nothing more is written.
func Kill(o *Outbox) {
	o.memory, o.gone = nil, nil
	if err := o.db.Close(); err != nil {
		panic(err)
	}
}

// NewDiscovery returns a discovery that looks with look: how it runs, what it found
// last, and its news.
func NewDiscovery(c Config, look func(context.Context, discover.Options) (discover.Report, error), log *slog.Logger) (run func(context.Context), latest func() *holdfast.Found, news <-chan struct{}) {
	d := newDiscovery(c, log)
	d.look = look
	return d.run, d.latest, d.news
}
