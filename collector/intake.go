package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// A group of reports becomes durable together: what is waiting, at most this much.
const groupSize = 1024

// intake makes reports durable and brings the living state up to them. One
// goroutine, run, does all of it; the rest asks.
//
// A report is applied first, then made durable, then acknowledged. Should the
// store not take it, the agent sends it again, and applying it twice changes
// nothing (package score: order and duplication of evidence never matter).
type intake struct {
	log    *slog.Logger
	store  store.Live
	estate *estate
	count  *counters
	queue  chan *ingest.Report

	mu      sync.RWMutex
	durable map[string]durable // guarded by mu, by agent

	// rosters are written by run under the estate's lock, and read under it.
	rosters map[string]*roster
	unsaved map[string]bool // run's own: checks whose history waits for the store
	wake    map[string]bool // run's own: checks that had run out and are heard again
}

// durable is what is on disk of an agent's reports, and when the last was heard.
type durable struct {
	progress holdfast.Progress
	heard    time.Time
}

func newIntake(log *slog.Logger, st store.Live, e *estate, count *counters) *intake {
	return &intake{
		log: log, store: st, estate: e, count: count,
		queue:   make(chan *ingest.Report, 4*groupSize),
		durable: map[string]durable{},
		rosters: map[string]*roster{}, unsaved: map[string]bool{}, wake: map[string]bool{},
	}
}

// progress returns which reports of an agent are durable.
func (in *intake) progress(agent string) holdfast.Progress {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.durable[agent].progress
}

// heard returns when an agent last reported; zero: never.
func (in *intake) heard(agent string) time.Time {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.durable[agent].heard
}

// latest returns a check's newest result as a whole observation. It looks at the
// agent that runs the check now first; a check that has moved may have been seen
// by another.
func (in *intake) latest(check, on string) (newest holdfast.Observation, ok bool) {
	in.estate.mu.RLock()
	defer in.estate.mu.RUnlock()
	if o, ok := in.rosters[on].latest(on, check); ok {
		return o, true
	}
	for agent, ro := range in.rosters {
		if o, there := ro.latest(agent, check); there && o.Received.After(newest.Received) {
			newest, ok = o, true
		}
	}
	return newest, ok
}

// run takes groups of reports in until ctx ends; what is queued then is refused
// and comes again.
func (in *intake) run(ctx context.Context) error {
	group := make([]*ingest.Report, 0, groupSize)
	for {
		select {
		case <-ctx.Done():
			in.refuse(ctx.Err())
			return nil
		case r := <-in.queue:
			group = in.gather(append(group[:0], r))
			in.take(ctx, group)
		}
	}
}

// gather adds what is waiting.
func (in *intake) gather(group []*ingest.Report) []*ingest.Report {
	for len(group) < groupSize {
		select {
		case r := <-in.queue:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// refuse answers what is still queued.
func (in *intake) refuse(err error) {
	for {
		select {
		case r := <-in.queue:
			r.Done(err)
		default:
			return
		}
	}
}

// news is what a report says that differs from before: the place of the result
// and the whole observation.
type news struct {
	result int
	slot   int
	was    holdfast.Outcome
	seen   holdfast.Observation
}

// take applies a group, makes it durable and answers it.
func (in *intake) take(ctx context.Context, group []*ingest.Report) {
	began := time.Now()
	var (
		batch store.Batch
		taken []*ingest.Report
		moved = map[string]*roster{}
		were  = map[string]holdfast.Progress{}
	)
	in.estate.mu.Lock()
	in.estate.facts.Advance(in.estate.now())
	for _, r := range group {
		ro := in.rosters[r.Agent]
		if ro == nil {
			ro = newRoster()
			in.rosters[r.Agent] = ro
		}
		next, isNews, err := r.Settle(ro.settled)
		if err == nil && isNews {
			var said []news
			if said, err = in.read(ro, r); err == nil {
				if _, again := were[r.Agent]; !again {
					were[r.Agent] = ro.settled
				}
				batch.Observed = in.apply(batch.Observed, ro, r, said)
				ro.settled = next
				moved[r.Agent] = ro
				taken = append(taken, r)
				continue
			}
		}
		if err == nil && moved[r.Agent] != nil {
			taken = append(taken, r) // came twice in this group: as durable as its twin
			continue
		}
		if err == nil {
			in.count.repeated.Inc()
		}
		r.Done(err)
	}
	for check := range in.wake {
		in.estate.touch(check)
	}
	if len(in.wake)+len(in.unsaved) > 0 {
		in.estate.rouse()
	}
	clear(in.wake)
	for check := range in.unsaved {
		in.estate.touch(check)
		batch.Histories = append(batch.Histories, store.History{Check: check, Value: encodeHistory(in.estate.facts.History(check))})
	}
	in.estate.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	for agent, ro := range moved {
		batch.Reports = append(batch.Reports, ro.report(agent))
	}
	err := in.store.Commit(ctx, batch)
	in.count.commits.Observe(time.Since(began).Seconds())
	in.settle(moved, were, err)
	in.count.stored.Inc()
	results := 0
	for _, r := range taken {
		results += len(r.Results)
		r.Done(err)
	}
	if err != nil {
		in.count.unsaved.Inc()
		in.log.Error("reports not saved; their agents send them again", "reports", len(taken), "err", err)
		return
	}
	in.count.reports.Add(float64(len(taken)))
	in.count.results.Add(float64(results))
}

// settle makes durable progress known, or takes it back.
func (in *intake) settle(moved map[string]*roster, were map[string]holdfast.Progress, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for agent, ro := range moved {
		if err != nil {
			ro.settled, ro.texts = were[agent], true
			continue
		}
		ro.texts = false
		in.durable[agent] = ro.durable()
	}
	if err == nil {
		clear(in.unsaved)
	}
}

// read decodes what a report says that is new, before any of it is applied: a
// report is taken whole or not at all.
func (in *intake) read(ro *roster, r *ingest.Report) ([]news, error) {
	ro.number(r.Assigned.Version, r.Assigned.Checks)
	var said []news
	for i := range r.Results {
		res := &r.Results[i]
		at := ro.numbers[res.Check]
		s := &ro.slots[at]
		same := s.order > 0 && s.digest == res.Digest
		switch {
		case same && len(res.Counts) == len(s.counts) && len(res.Measures) == len(s.measures):
			if slices.Equal(res.Counts, s.counts) && res.Order > s.order {
				continue
			}
			if res.Body == nil {
				res.Body = s.body
			}
		case res.Body == nil:
			return nil, ingest.ErrResend
		}
		seen, err := r.Observation(i)
		if err != nil {
			return nil, err
		}
		said = append(said, news{result: i, slot: at, was: s.outcome, seen: seen})
	}
	return said, nil
}

// apply brings slots and facts up to a report. The caller holds the estate's lock.
func (in *intake) apply(observed []store.Observed, ro *roster, r *ingest.Report, said []news) []store.Observed {
	facts := in.estate.facts
	next := 0
	for i := range r.Results {
		res := &r.Results[i]
		s := &ro.slots[ro.numbers[res.Check]]
		if next < len(said) && said[next].result == i {
			n := &said[next]
			next++
			if in.estate.model.Observe(facts, n.seen) {
				in.unsaved[s.check] = true
				in.count.changed.Inc()
			}
			if n.seen.Outcome != n.was {
				observed = append(observed, store.Observed{At: r.Received, Check: s.check, Value: encodeHistory([]holdfast.Observation{n.seen})})
			}
			if res.Order <= s.order {
				continue // an older one, behind newer state
			}
			if s.digest != res.Digest || len(s.body) == 0 {
				s.body, s.digest = append(s.body[:0:0], res.Body...), res.Digest
				ro.texts = true
			}
			s.counts = append(s.counts[:0], res.Counts...)
			s.outcome = n.seen.Outcome
		} else if rejudge, ok := in.estate.model.Repeat(facts, s.check, r.Agent, res.Order, r.At(i), r.Received); !ok {
			in.observeAgain(s, r, i)
		} else if rejudge {
			in.wake[s.check] = true
		}
		s.order, s.at, s.received, s.offset = res.Order, r.At(i).UnixNano(), r.Received.UnixNano(), int64(r.Offset)
		s.measures = append(s.measures[:0], res.Measures...)
	}
	if r.Epoch > ro.epoch || r.Seq > ro.seq {
		ro.epoch, ro.seq = r.Epoch, r.Seq
	}
	ro.received = r.Received.UnixNano()
	return observed
}

// observeAgain takes in an unchanged result whose facts carry their own time, such
// as a replica's.
func (in *intake) observeAgain(s *slot, r *ingest.Report, i int) {
	r.Results[i].Body = s.body
	o, err := r.Observation(i)
	if err != nil {
		in.log.Error("stored body of a check cannot be read", "check", s.check, "err", err)
		return
	}
	if in.estate.model.Observe(in.estate.facts, o) {
		in.unsaved[s.check] = true
	}
}

func (ro *roster) durable() durable {
	return durable{ro.settled, time.Unix(0, ro.received).UTC()}
}

// report is what is stored of an agent.
func (ro *roster) report(agent string) store.AgentReport {
	a := store.AgentReport{
		Agent: agent, Epoch: ro.epoch, Seq: ro.seq, Settled: ro.settled,
		Received: time.Unix(0, ro.received).UTC(),
		Hot:      ro.appendHot(nil),
	}
	if ro.texts {
		a.Texts = ro.appendTexts(nil)
	}
	return a
}

// encodeHistory is the stored form of a check's history: JSON, as people may want
// to read it in years.
func encodeHistory(list []holdfast.Observation) []byte {
	b, err := json.Marshal(list)
	if err != nil {
		panic(fmt.Sprintf("observation cannot be written as JSON: %v", err)) // all its numbers were checked
	}
	return b
}

func decodeHistory(b []byte) ([]holdfast.Observation, error) {
	var list []holdfast.Observation
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return list, nil
}
