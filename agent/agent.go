// Package agent is the half of Holdfast that runs on hosts. It runs the checks it
// is assigned through plugins, within its own host's policy, and reports what
// they saw.
//
// A check comes due in the [Scheduler]; the [Policy] of the host permits it; a
// plugin of [Plugins] observes; the result is on disk in the [Outbox] before the
// reporter sends it, and leaves the disk when the collector has it on its own.
// An agent that cannot reach its collector goes on probing by the assignment it
// kept.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// The files of an agent's data folder, beside those of its identity.
const (
	spoolFile      = "spool.db"
	assignmentFile = "assignment.json"
	pluginsFolder  = "plugins"
)

// How long an agent that ends goes on sending what waits.
const farewell = time.Second

// Options are what an agent is made of.
type Options struct {
	Config     Config
	Version    string                            // of the program
	Token      string                            // to join with; "": it has joined before
	FirstParty map[string][]holdfast.Description // plugin → its probes
	Command    []string                          // starts a first-party plugin; default: this program, holdfast plugin NAME
	Log        *slog.Logger
}

// Agent is one agent on its data folder.
type Agent struct {
	config  Config
	version string
	token   string
	log     *slog.Logger
	started time.Time

	// Set by New.
	lock      *os.File
	spool     *Outbox
	plugins   *Plugins
	looker    *looker
	scheduler *Scheduler
	results   chan Result
	runs      *runs
	discovery *discovery

	// Set by Run before anything else runs.
	identity *Identity
	reporter *Reporter

	mu         sync.Mutex          // guards what follows
	assignment holdfast.Assignment // as the collector gave it
}

// New opens an agent's data folder for this process alone and prepares what it
// needs. Nothing runs yet. The caller calls Run, or Close.
func New(o Options) (*Agent, error) {
	a := &Agent{config: o.Config, version: o.Version, token: o.Token, log: o.Log, started: time.Now().UTC(), results: make(chan Result), runs: newRuns(time.Now),
		discovery: newDiscovery(o.Config, o.Log)}
	if err := a.open(o); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Agent) open(o Options) (err error) {
	dir := o.Config.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w\nhint: the agent must be able to make it; give it another one with --data", err)
	}
	if a.lock, err = lockFolder(dir); err != nil {
		return err
	}
	a.spool, err = OpenOutbox(filepath.Join(dir, spoolFile), OutboxOptions{
		Bytes: o.Config.SpoolBytes, Age: o.Config.SpoolAge, Elapsed: sinceBoot, Now: time.Now,
	}, o.Log)
	if err != nil {
		return err
	}
	if a.assignment, err = loadAssignment(filepath.Join(dir, assignmentFile)); err != nil {
		o.Log.Error("no checks until the collector sends them again", "error", err)
	}
	a.plugins, err = NewPlugins(PluginsConfig{
		FirstParty: o.FirstParty, Command: o.Command, External: o.Config.Plugins,
		Dir: filepath.Join(dir, pluginsFolder), Log: o.Log, Protected: a.protected,
	})
	if err != nil {
		return err
	}
	var firstParty []holdfast.Description
	for _, some := range o.FirstParty {
		firstParty = append(firstParty, some...)
	}
	a.looker = newLooker(NewPolicy(o.Config, firstParty), a.plugins, firstParty, time.Now, o.Log)
	a.looker.credentials.rekey(a.assignment.Key)
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this host: %w", err)
	}
	jitter := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	a.scheduler = NewScheduler(host, a.look, a.looker.cost, sinceBoot, jitter, o.Log)
	return nil
}

// look runs a check and hands what it saw to gather, which takes results until
// the scheduler has ended.
func (a *Agent) look(ctx context.Context, check holdfast.Check) {
	ctx = probe.WithProgress(ctx, func(p holdfast.Phase) { a.runs.comes(check.ID, p) })
	if o, ok := a.looker.look(ctx, check); ok {
		a.runs.saw(&o)
		a.results <- Result{check, o}
	}
}

// runNow runs a check that the collector asked for.
func (a *Agent) runNow(ctx context.Context, check string) {
	a.runs.ask(check)
	a.scheduler.RunNow(ctx, check, func(state holdfast.RunState, since time.Time) { a.runs.stands(check, state, since) })
}

// Close frees what New took. Run does it too.
func (a *Agent) Close() error {
	var errs []error
	if a.plugins != nil {
		errs = append(errs, a.plugins.Close())
		a.plugins = nil
	}
	if a.spool != nil {
		errs = append(errs, a.spool.Close())
		a.spool = nil
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
		a.lock = nil
	}
	return errors.Join(errs...)
}
