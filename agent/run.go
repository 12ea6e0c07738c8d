package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/wire"
)

// Run joins the collector if need be, then probes and reports until ctx is done.
// It then cancels the runs under way, writes what they said before, sends for a
// moment what still waits, and closes the agent.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	if a.identity, err = a.join(ctx); err != nil {
		return err
	}
	socket, err := listenStatus(a.config.Data)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a.reporter = NewReporter(ReporterConfig{
		Data: a.config.Data, Address: a.config.Join, Identity: a.identity, Spool: a.spool, Version: a.version, Log: a.log,
		Kept:   a.assignment,
		Assign: func(as holdfast.Assignment) { a.assign(ctx, as) },
		Run:    func(check string) { a.runNow(ctx, check) },
		Stop:   func(check string) { a.scheduler.StopRun(ctx, check) },
		Health: a.health,
		Runs:   a.runs.tell, RunNews: a.runs.news,
		Found: a.discovery.latest, FoundNews: a.discovery.news,
	})
	a.log.Info("agent begins", "agent", a.identity.Name(), "collector", a.config.Join,
		"checks_kept", len(a.assignment.Checks), "reports_waiting", a.spool.State().Waiting)

	var probing, gathering, reporting, serving sync.WaitGroup
	probing.Go(func() { a.scheduler.Run(ctx) })
	probing.Go(func() { a.watchHealth(ctx) })
	probing.Go(func() { a.discovery.run(ctx) })
	probing.Go(func() { a.sweep(ctx) })
	gathering.Go(func() { gather(a.results, a.spool) })
	a.schedule(ctx, a.assignment, a.spool.Ages(a.assignment.Checks)) // before a newer one can come
	probe.GiveBack()                                                 // what starting took
	reports, stopReports := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReports()
	reporting.Go(func() {
		if err = a.reporter.Run(reports); err != nil {
			stop()
		}
	})
	serving.Go(func() { serveStatus(socket, a.Status, a.log) })

	<-ctx.Done()
	a.log.Info("agent ends")
	probing.Wait()
	close(a.results)
	gathering.Wait()
	a.sendOff()
	stopReports()
	reporting.Wait()
	closed := socket.Close()
	serving.Wait()
	return errors.Join(err, closed)
}

// sendOff gives the reporter a moment for what still waits.
func (a *Agent) sendOff() {
	enough := time.After(farewell)
	tick := time.NewTicker(farewell / 50)
	defer tick.Stop()
	for a.reporter.State().Connected && a.spool.State().Waiting > 0 {
		select {
		case <-tick.C:
		case <-enough:
			return
		}
	}
}

// join returns the agent's identity. A token that was not used yet joins anew;
// where that fails, an identity from before still serves.
func (a *Agent) join(ctx context.Context) (*Identity, error) {
	used := filepath.Join(a.config.Data, "token.used") // the hash of the token joined with
	identity, err := OpenIdentity(a.config.Data)
	if err != nil && !errors.Is(err, ErrNotJoined) || a.token == "" {
		return identity, err
	}
	if _, err := wire.ParseToken(a.token); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(a.token))
	mark := hex.EncodeToString(sum[:])
	if before, err := os.ReadFile(used); identity != nil && err == nil && string(before) == mark {
		return identity, nil
	}
	if identity == nil {
		if err := a.reach(ctx); err != nil {
			return nil, err
		}
	}
	joined, err := Join(ctx, a.config.Data, a.config.Join, a.token)
	if err != nil {
		if identity != nil {
			a.log.Error("the token joins no collector: going on as before", "agent", identity.Name(), "error", err)
			return identity, nil
		}
		return nil, err
	}
	a.log.Info("joined", "agent", joined.Name(), "collector", a.config.Join)
	return joined, writeFile(used, []byte(mark))
}

// reach waits until something answers at the collector's address.
func (a *Agent) reach(ctx context.Context) error {
	dialer, told := net.Dialer{Timeout: 10 * time.Second}, false
	for wait := time.Second / 4; ; wait = min(2*wait, 15*time.Second) {
		conn, err := dialer.DialContext(ctx, "tcp", a.config.Join)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("join %s: %w", a.config.Join, ctx.Err())
		}
		if !told {
			a.log.Warn("nobody answers at the collector's address: trying again and again", "address", a.config.Join, "error", err)
			told = true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// assign takes a new assignment: keeps it on disk and schedules its checks.
func (a *Agent) assign(ctx context.Context, as holdfast.Assignment) {
	if err := saveAssignment(filepath.Join(a.config.Data, assignmentFile), as); err != nil {
		a.log.Error("after a restart this agent will know its checks only from the collector", "error", err)
	}
	a.mu.Lock()
	a.assignment = as
	a.mu.Unlock()
	a.looker.credentials.rekey(as.Key)
	a.log.Info("checks assigned", "checks", len(as.Checks), "version", as.Version)
	a.schedule(ctx, as, nil)
}

func (a *Agent) schedule(ctx context.Context, as holdfast.Assignment, ages map[string]time.Duration) {
	checks, faults := runnable(as.Checks)
	for _, err := range faults {
		a.log.Error("assignment", "error", err)
	}
	a.scheduler.Assign(ctx, checks, ages)
}

// checks returns the checks as assigned.
func (a *Agent) checks() []holdfast.Check {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.assignment.Checks
}

// health is what the collector is told of this agent.
func (a *Agent) health() holdfast.AgentState {
	return holdfast.AgentState{
		Refused: slices.Sorted(maps.Keys(a.looker.refusals(a.checks()))),
		Spooled: a.spool.State().Waiting,
		Plugins: a.plugins.Health(),
	}
}

// healthEvery is how soon the collector learns of a refused check or a plugin
// that fails.
const healthEvery = 5 * time.Second

// watchHealth has the reporter tell the collector when something changed but the
// length of the spool, which always does. Once every check has run for the first
// time it gives back the memory that took.
func (a *Agent) watchHealth(ctx context.Context) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	settled := time.After(firstWithin)
	var told uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-settled:
			probe.GiveBack()
			continue
		case <-tick.C:
		}
		now := a.health()
		now.Spooled = 0
		if d := digest(now); d != told {
			told = d
			a.reporter.HealthChanged()
		}
	}
}

// Status says how the agent fares.
func (a *Agent) Status() Status {
	link, spool, checks := a.reporter.State(), a.spool.State(), a.checks()
	_, until := a.identity.Validity()
	s := Status{
		Schema: statusSchema, Version: a.version, Name: a.identity.Name(), Collector: a.config.Join, Started: a.started,
		Connected: link.Connected, Since: link.Since.UTC(), Problem: link.Problem, CertificateUntil: until.UTC(),
		LastAcknowledged: link.LastAck.UTC(), Acknowledged: link.Acked,
		Checks: len(checks), Refused: a.looker.refusals(checks),
		Spool:   SpoolStatus{Waiting: spool.Waiting, Dropped: spool.Dropped},
		Plugins: a.plugins.Health(),
	}
	if err := a.spool.Problem(); err != nil {
		s.Spool.Problem = err.Error()
	}
	return s
}
