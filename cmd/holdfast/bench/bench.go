// Package bench measures how fast a collector takes reports in, and proves that
// it keeps what it acknowledges.
//
// The collector is the real command in a process of its own, on a catalogue made
// for the purpose, judging all the while. This process is its agents: each has
// joined by a token, holds its own key and certificate, and speaks the agents'
// protocol over mutual TLS. Reports go out in a closed loop: so many are
// outstanding over all agents, several of one agent at a time.
//
// Afterwards the collector is stopped, its store is opened again, and every
// report that was acknowledged is looked up.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Schema names the form of Result.
const Schema = "holdfast.bench/v1"

// Options say what is measured.
type Options struct {
	Program     string // the holdfast that is run as the collector
	Data        string // folder for everything; created, and nothing may be in it
	Duration    time.Duration
	Agents      int
	Results     int  // of one report
	Services    int  // of the catalogue, ten checks each
	Outstanding int  // reports under way at once, over all agents
	Burst       int  // of one agent
	Unchanged   bool // nothing but times is new
	Kills       int  // of the collector, before anything is measured
	Progress    io.Writer

	vaults int // further services, of which every service needs one's repository
}

// Check says what cannot be measured.
func (o *Options) Check() error {
	var faults []error
	if o.Data == "" {
		faults = append(faults, errors.New("--data: name an empty folder on the disk to measure"))
	}
	if o.Duration < time.Second {
		faults = append(faults, fmt.Errorf("--duration %s: at least 1s", o.Duration))
	}
	if o.Agents < 1 || o.Agents > 20_000 {
		faults = append(faults, fmt.Errorf("--agents %d: 1 to 20000", o.Agents))
	}
	if o.Results < 1 || o.Results > 1000 {
		faults = append(faults, fmt.Errorf("--results %d: 1 to 1000", o.Results))
	}
	if o.Services*checksPerService < o.Agents*o.Results {
		faults = append(faults, fmt.Errorf("--services %d: %d agents with %d results in a report need %d services of %d checks",
			o.Services, o.Agents, o.Results, (o.Agents*o.Results+checksPerService-1)/checksPerService, checksPerService))
	}
	if o.Services > 50_000 {
		faults = append(faults, fmt.Errorf("--services %d: at most 50000", o.Services))
	}
	if o.Burst < 1 || o.Burst > 16 {
		faults = append(faults, fmt.Errorf("--burst %d: 1 to 16, the protocol's window", o.Burst))
	}
	if o.Kills < 0 || o.Kills > 10_000 {
		faults = append(faults, fmt.Errorf("--kills %d: 0 to 10000", o.Kills))
	}
	if o.Outstanding < o.Burst {
		faults = append(faults, fmt.Errorf("--outstanding %d: at least --burst %d", o.Outstanding, o.Burst))
	}
	return errors.Join(faults...)
}

// Result is what was measured. Acknowledged and Found count the reports of the
// whole run, the first of every agent included; all else is of the measured time.
type Result struct {
	Schema           string  `json:"schema"`
	Unchanged        bool    `json:"unchanged"`
	Agents           int     `json:"agents"`
	Services         int     `json:"services"`
	Checks           int     `json:"checks"`
	ResultsPerReport int     `json:"results_per_report"`
	Outstanding      int     `json:"outstanding"` // reports, over all agents
	Seconds          float64 `json:"seconds"`

	ResultsPerSecond float64 `json:"results_per_second"` // acknowledged
	P50              float64 `json:"p50_ms"`             // of a report: sent to acknowledged
	P99              float64 `json:"p99_ms"`
	Max              float64 `json:"max_ms"`

	CPUPerResult        float64 `json:"collector_cpu_us_per_result"` // user and system, judgement included
	CollectorCores      float64 `json:"collector_cores"`
	GeneratorCores      float64 `json:"generator_cores"`
	RSS                 int64   `json:"rss_bytes"`  // of the collector at the end, pages of its mapped store included
	Heap                int64   `json:"heap_bytes"` // of RSS: memory of its own
	FsyncsPerSecond     float64 `json:"fsyncs_per_second"`
	CommitsPerSecond    float64 `json:"commits_per_second"`
	ReportsPerCommit    float64 `json:"reports_per_commit"`
	JudgementsPerSec    float64 `json:"judgements_per_second"` // services judged anew
	ChangedPerSecond    float64 `json:"changed_results_per_second"`
	StoreBytes          int64   `json:"store_bytes"`
	RestartMilliseconds float64 `json:"restart_ms"` // of the collector on what it kept, until it serves

	Kills        int    `json:"kills"`
	Sent         uint64 `json:"sent"`
	Acknowledged uint64 `json:"acknowledged"`
	Found        uint64 `json:"found"`
}

// ErrLost says that an acknowledged report is not in the store.
var ErrLost = errors.New("acknowledged reports are not in the store")

// Run measures. It returns a result with ErrLost where something acknowledged was
// not found.
func Run(ctx context.Context, o Options) (Result, error) {
	r := Result{Schema: Schema, Unchanged: o.Unchanged, Agents: o.Agents, Services: o.Services,
		Checks: o.Services * checksPerService, ResultsPerReport: o.Results, Outstanding: o.Outstanding}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	if list, err := os.ReadDir(o.Data); err != nil || len(list) > 0 {
		return r, errors.Join(err, fmt.Errorf("bench: %s is not empty", o.Data))
	}
	c := &process{program: o.Program, data: filepath.Join(o.Data, "collector"), catalog: filepath.Join(o.Data, "catalog"), log: filepath.Join(o.Data, "collector.log")}
	o.say("writing a catalogue of %d services and %d checks for %d agents", r.Services, r.Checks, o.Agents)
	if err := writeCatalogue(c.catalog, o); err != nil {
		return r, err
	}
	if err := c.start(ctx); err != nil {
		return r, err
	}
	defer c.kill()
	o.say("collector ready after %s; agents join", c.took.Round(time.Millisecond))
	crowd, err := join(ctx, o, c)
	if err != nil {
		return r, err
	}
	defer crowd.close()
	if err := punish(ctx, o, c, crowd, &r); err != nil {
		return r, err
	}
	if err := measure(ctx, o, c, crowd, &r); err != nil {
		return r, err
	}
	crowd.close()
	return r, prove(ctx, o, c, crowd, &r)
}

// punish kills the collector under load, at any instant, and looks each time
// whether all it had acknowledged is there. What it had not, the agents send again.
func punish(ctx context.Context, o Options, c *process, crowd *crowd, r *Result) error {
	for ctx.Err() == nil && r.Kills < o.Kills {
		ended := make(chan error, 1)
		go func() { ended <- crowd.report(ctx, o, time.Hour) }()
		select {
		case <-time.After(rand.N(300 * time.Millisecond)):
		case err := <-ended:
			return err
		}
		c.kill()
		r.Kills++
		<-ended // with the sessions
		crowd.close()
		acked := crowd.acknowledged()
		found, _, err := find(ctx, c.data, crowd)
		if err != nil {
			return err
		}
		o.say("kill %d: %d reports acknowledged so far, %d found", r.Kills, acked, found)
		if r.Found, r.Acknowledged = found, acked; found != acked {
			return fmt.Errorf("bench: %w after %d kills: %d acknowledged, %d found", ErrLost, r.Kills, acked, found)
		}
		if err := c.start(ctx); err != nil {
			return err
		}
		if err := crowd.open(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// measure warms up, then lets the agents report for the duration.
func measure(ctx context.Context, o Options, c *process, crowd *crowd, r *Result) error {
	o.say("every agent's first report, with every text")
	if err := crowd.first(ctx, o); err != nil {
		return err
	}
	o.say("warming up")
	if err := crowd.report(ctx, o, min(o.Duration/4+time.Second, 5*time.Second)); err != nil {
		return err
	}
	crowd.forgetTimes()
	before, err := c.look(ctx)
	if err != nil {
		return err
	}
	acked := crowd.acknowledged()
	o.say("measuring for %s", o.Duration)
	began, mine := time.Now(), ownCPU()
	if err := before.startCPU(c); err != nil {
		return err
	}
	if err := crowd.report(ctx, o, o.Duration); err != nil {
		return err
	}
	took, own := time.Since(began).Seconds(), ownCPU()-mine
	cpu, err := c.cpu()
	if err != nil {
		return err
	}
	after, err := c.look(ctx)
	if err != nil {
		return err
	}
	reports := float64(crowd.acknowledged() - acked)
	results := reports * float64(o.Results)
	commits := after.commits - before.commits
	r.Seconds, r.ResultsPerSecond = took, results/took
	r.CPUPerResult = float64((cpu - before.cpu).Microseconds()) / results
	r.CollectorCores, r.GeneratorCores = (cpu-before.cpu).Seconds()/took, own.Seconds()/took
	r.RSS, r.Heap = after.rss, after.heap
	r.CommitsPerSecond, r.FsyncsPerSecond = commits/took, syncsPerCommit*commits/took
	r.ReportsPerCommit = reports / max(after.groups-before.groups, 1)
	r.JudgementsPerSec = (after.judged - before.judged) / took
	r.ChangedPerSecond = (after.changed - before.changed) / took
	times := crowd.times()
	slices.Sort(times)
	r.P50, r.P99, r.Max = quantile(times, 0.5), quantile(times, 0.99), quantile(times, 1)
	return nil
}

// prove stops the collector, looks every acknowledged report up in its store, and
// starts it once more on it.
func prove(ctx context.Context, o Options, c *process, crowd *crowd, r *Result) error {
	o.say("stopping the collector and opening its store")
	if err := c.stop(ctx); err != nil {
		return err
	}
	r.Sent, r.Acknowledged = crowd.sent(), crowd.acknowledged()
	var err error
	if r.Found, r.StoreBytes, err = find(ctx, c.data, crowd); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return fmt.Errorf("start the collector again: %w", err)
	}
	r.RestartMilliseconds = float64(c.took.Microseconds()) / 1000
	if err := c.stop(ctx); err != nil {
		return err
	}
	if r.Found != r.Acknowledged {
		return fmt.Errorf("bench: %w: %d acknowledged, %d found", ErrLost, r.Acknowledged, r.Found)
	}
	return nil
}

// quantile returns the q-quantile of sorted times in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

// workers is how many agents have reports under way at once.
func (o *Options) workers() int { return max(1, min(o.Outstanding/o.Burst, o.Agents)) }

func (o *Options) say(format string, args ...any) { fmt.Fprintf(o.Progress, format+"\n", args...) }
