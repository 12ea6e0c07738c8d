package collector

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/wire"
)

// A group of reports becomes durable together: what is waiting, at most this much.
const groupSize = 1024

// intake makes reports durable and brings the living state up to them. One
// goroutine, run, does all of it; the rest asks.
//
// A report is applied first, then made durable, then acknowledged. Should the
// store not take it, the agent sends it again; what was applied stays applied and
// goes to the store with the next group.
type intake struct {
	log    *slog.Logger
	store  store.Live
	estate *estate
	count  *counters
	queue  chan *ingest.Report
	// reported hears of reports that are durable, before they are answered.
	reported func([]*ingest.Report)

	// grouping is held from the first report of a group that is applied until the
	// group is durable, or refused.
	grouping sync.Mutex

	mu      sync.RWMutex
	durable map[string]durable // guarded by mu, by agent

	// rosters are written by run under the estate's lock, and read under it.
	rosters map[string]*roster

	// Run's own: what waits for the store, whether it is new or was refused before.
	// It goes there together, so that a report is settled with all it said or not.
	moved    map[string]*roster // by agent
	unsaved  map[string]bool    // checks with a history
	observed []store.Observed

	touched map[string]bool // run's own: checks to judge anew
	marks   marks           // run's own: what of every copy and test is in the history for people
	said    []news          // run's own: scratch of read
	hot     []byte          // run's own: scratch of batch
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
		rosters: map[string]*roster{}, moved: map[string]*roster{}, unsaved: map[string]bool{}, touched: map[string]bool{},
		marks: marks{}, reported: func([]*ingest.Report) {},
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
func (in *intake) latest(check, on string) (holdfast.Observation, bool) {
	in.estate.mu.RLock()
	defer in.estate.mu.RUnlock()
	return in.newest(check, on)
}

// newest is latest for a caller that holds the estate's lock.
func (in *intake) newest(check, on string) (newest holdfast.Observation, ok bool) {
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

// settled waits until every report that is applied by now is durable, unless the
// store refused it: what was judged from it may then be told.
func (in *intake) settled() {
	in.grouping.Lock()
	defer in.grouping.Unlock() // taking it is all
}

// busy reports whether reports wait to be taken in.
func (in *intake) busy() bool { return len(in.queue) > 0 }

// take applies reports, makes them durable and answers them.
func (in *intake) take(ctx context.Context, reports []*ingest.Report) {
	began := time.Now()
	var taken []*ingest.Report // to be answered once they are durable
	in.grouping.Lock()
	defer in.grouping.Unlock()
	in.estate.mu.Lock()
	in.estate.facts.Advance(in.estate.now())
	for _, r := range reports {
		if in.settle(r) {
			taken = append(taken, r)
		}
	}
	batch := in.batch()
	in.estate.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	err := in.store.Commit(ctx, batch)
	in.count.commits.Observe(time.Since(began).Seconds())
	in.answer(taken, err)
}

// settle applies a report that was not applied before, and says whether it has to
// wait for the store: it is not durable yet. Others are answered at once.
func (in *intake) settle(r *ingest.Report) (waits bool) {
	ro := in.rosters[r.Agent]
	if ro == nil {
		ro = newRoster()
		in.rosters[r.Agent] = ro
	}
	next, isNews, err := r.Settle(ro.settled)
	switch {
	case err != nil:
	case !isNews && in.progress(r.Agent).Has(r.Epoch, r.Seq):
		in.count.repeated.Inc()
	case !isNews: // its twin waits in this group, or the store refused it before
		in.moved[r.Agent] = ro
		return true
	default:
		var said []news
		if said, err = in.read(ro, r); err == nil {
			in.apply(ro, r, said)
			ro.settled, in.moved[r.Agent] = next, ro
			return true
		}
	}
	r.Done(err)
	return false
}

// batch queues what was touched to be judged, and collects what waits for the
// store. It is good until the next group. The caller holds the estate's lock.
func (in *intake) batch() store.Batch {
	if len(in.touched) > 0 {
		for check := range in.touched {
			in.estate.touch(check)
		}
		clear(in.touched)
		in.estate.rouse()
	}
	b := store.Batch{Observed: in.observed}
	in.hot = in.hot[:0]
	for agent, ro := range in.moved {
		b.Reports = append(b.Reports, in.stored(agent, ro))
	}
	for check := range in.unsaved {
		value, err := encodeHistory(in.estate.facts.History(check), in.estate.facts.Points(check))
		if err != nil {
			in.log.Error("history of a check not saved", "check", check, "err", err)
			continue
		}
		b.Histories = append(b.Histories, store.History{Check: check, Value: value})
	}
	return b
}

// maxObserved bounds what waits for a store that takes nothing: of more changes the
// oldest are left out of the history that people read.
const maxObserved = 100_000

// answer makes known what is durable now and answers the reports.
func (in *intake) answer(taken []*ingest.Report, err error) {
	if err != nil {
		in.count.unsaved.Inc()
		in.log.Error("reports not saved; their agents send them again", "reports", len(taken), "err", err)
		in.observed = in.observed[max(0, len(in.observed)-maxObserved):]
	} else {
		in.mu.Lock()
		for agent, ro := range in.moved {
			ro.texts = false
			in.durable[agent] = ro.durable()
		}
		in.mu.Unlock()
		clear(in.moved)
		clear(in.unsaved)
		in.observed = nil
		in.count.stored.Inc()
		in.count.reports.Add(float64(len(taken)))
		in.reported(taken)
	}
	results := 0
	for _, r := range taken {
		results += len(r.Results)
		r.Done(err)
	}
	if err == nil {
		in.count.results.Add(float64(results))
	}
}

// news is what a report says that differs from before: the place of the result
// and the whole observation.
type news struct {
	result  int
	numbers bool // nothing but numbers differs from the check's latest result, which is in seen
	seen    holdfast.Observation
}

// read works out what a report says that is new, before any of it is applied: a
// report is taken whole or not at all. The answer is good until the next call.
func (in *intake) read(ro *roster, r *ingest.Report) ([]news, error) {
	ro.number(r.Assigned.Version, r.Assigned.Checks)
	clear(in.said)
	in.said = in.said[:0]
	for i := range r.Results {
		res := &r.Results[i]
		s := &ro.slots[ro.numbers[res.Check]]
		n := news{result: i}
		same := s.order > 0 && s.digest == res.Digest
		ahead := res.Order > s.order
		switch {
		case same && len(res.Counts) == len(s.counts) && len(res.Measures) == len(s.measures):
			if ahead && slices.Equal(res.Counts, s.counts) {
				continue
			}
			if n.numbers = ahead && in.renumber(s, r, i, &n.seen); n.numbers {
				break
			}
			if res.Body == nil {
				res.Body = s.body
			}
		case res.Body == nil:
			return nil, ingest.ErrResend
		}
		if !n.numbers {
			var err error
			if n.seen, err = r.Observation(i); err != nil {
				return nil, err
			}
		}
		in.said = append(in.said, n)
	}
	return in.said, nil
}

// renumber makes the observation of a result of which nothing but numbers is new
// out of the latest known one: far cheaper than decoding the same body again. It
// answers false where the latest known is not this agent's latest.
func (in *intake) renumber(s *slot, r *ingest.Report, i int, o *holdfast.Observation) bool {
	known, ok := in.estate.facts.Latest(s.check)
	if !ok || known.Agent != r.Agent || known.Seq != s.order || known.Outcome != s.outcome {
		return false
	}
	if wire.SetNumbers(&known, r.Results[i].Counts, nil) != nil {
		return false
	}
	known.Seq, known.At, known.Received, known.Offset = r.Results[i].Order, r.At(i), r.Received, r.Offset
	*o = known
	return true
}

// apply brings slots and facts up to a report. The caller holds the estate's lock.
func (in *intake) apply(ro *roster, r *ingest.Report, said []news) {
	for i := range r.Results {
		s := &ro.slots[ro.numbers[r.Results[i].Check]]
		if len(said) > 0 && said[0].result == i {
			in.learn(ro, s, r, &said[0])
			said = said[1:]
		} else {
			in.repeat(s, r, i)
		}
	}
	if r.Epoch > ro.epoch || r.Seq > ro.seq {
		ro.epoch, ro.seq = r.Epoch, r.Seq
	}
	ro.received = r.Received.UnixNano()
}

// learn takes in a result that says something new.
func (in *intake) learn(ro *roster, s *slot, r *ingest.Report, n *news) {
	res := &r.Results[n.result]
	behind := res.Order <= s.order
	changed := in.estate.model.Observe(in.estate.facts, n.seen)
	if changed {
		in.touched[s.check] = true
		in.count.changed.Inc()
	}
	// What differs only in numbers and times is in the agent's stored state, as long
	// as the check's latest result says it.
	if behind || n.seen.Outcome != s.outcome || changed && !n.numbers {
		in.unsaved[s.check] = true
	}
	was := &s.outcome
	if behind {
		was = &s.behind
	}
	if notable, turned := in.marks.note(&n.seen), *was != n.seen.Outcome; notable || turned {
		*was = n.seen.Outcome
		kept := n.seen
		if !turned && kept.Verification == nil && kept.Restoration == nil { // one point of many
			kept.Raw, kept.Facts, kept.Measures = "", nil, nil
		}
		in.observed = append(in.observed, store.Observed{At: r.Received, Check: s.check, Value: encodeObserved(kept)})
	}
	if behind {
		return
	}
	if s.digest != res.Digest || len(s.body) == 0 {
		s.body, s.digest = append(s.body[:0:0], res.Body...), res.Digest
		ro.texts = true
	}
	s.counts = append(s.counts[:0], res.Counts...)
	s.stamp(r, n.result)
}

// repeat takes in a result that says what the check's latest said.
func (in *intake) repeat(s *slot, r *ingest.Report, i int) {
	facts, order := in.estate.facts, r.Results[i].Order
	rejudge, ok := false, false
	if s.outcome != holdfast.OutcomeUnknown { // whoever cannot tell has not seen the latest facts again
		rejudge, ok = in.estate.model.Repeat(facts, s.check, r.Agent, order, r.At(i), r.Received)
	}
	if !ok {
		rejudge = in.observeAgain(s, r, i)
	}
	if rejudge {
		in.touched[s.check] = true
	}
	s.stamp(r, i)
}

// observeAgain takes in an unchanged result whose facts carry their own time, such
// as a replica's.
func (in *intake) observeAgain(s *slot, r *ingest.Report, i int) (rejudge bool) {
	r.Results[i].Body = s.body
	o, err := r.Observation(i)
	if err != nil {
		in.log.Error("stored body of a check cannot be read", "check", s.check, "err", err)
		return false
	}
	return in.estate.model.Observe(in.estate.facts, o)
}

// stamp notes when the latest result was, and its measures.
func (s *slot) stamp(r *ingest.Report, i int) {
	res := &r.Results[i]
	s.order, s.at, s.received, s.offset = res.Order, r.At(i).UnixNano(), r.Received.UnixNano(), int64(r.Offset)
	s.measures = append(s.measures[:0], res.Measures...)
}

func (ro *roster) durable() durable {
	return durable{ro.settled, time.Unix(0, ro.received).UTC()}
}

// stored is what is stored of an agent. It is good until the next group.
func (in *intake) stored(agent string, ro *roster) store.AgentReport {
	from := len(in.hot)
	in.hot = ro.appendHot(in.hot)
	a := store.AgentReport{
		Agent: agent, Epoch: ro.epoch, Seq: ro.seq, Settled: ro.settled,
		Received: time.Unix(0, ro.received).UTC(),
		Hot:      in.hot[from:len(in.hot):len(in.hot)],
	}
	if ro.texts {
		a.Texts = ro.appendTexts(nil)
	}
	return a
}
