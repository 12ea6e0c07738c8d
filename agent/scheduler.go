package agent

import (
	"context"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// How many checks of a class run at once on a host. Most cheap ones wait for
// the network; two that read disks leave some of it to others.
var atOnce = map[holdfast.Cost]int{holdfast.Cheap: 16, holdfast.IO: 2, holdfast.Heavy: 1}

const (
	// A check that never ran, or is overdue, starts within this time, so that
	// nobody waits a week for the first result of a weekly check.
	firstWithin = 30 * time.Second
	// The longest nap of the scheduler. Timers stand still while a host is
	// suspended; after this time at most it notices.
	longestNap = 15 * time.Second
)

// Scheduler runs each check once in its interval. A check has a place of its own
// in the interval, found by hashing its ID and the agent's name, so that checks
// and agents spread; a little jitter keeps them from meeting again and again. A
// check never runs twice at once. One that could not run in time (too many
// before it, the host asleep) runs once when it can, not once for every time
// missed. Time is the time since boot, suspend included: setting the clock does
// not move a check.
//
// One goroutine, Run, owns every field below the channels.
type Scheduler struct {
	agent   string
	look    func(context.Context, holdfast.Check) // runs a check and deals with what it saw
	cost    func(holdfast.Check) holdfast.Cost    // one of the three, and at once
	elapsed func() time.Duration                  // since some fixed instant, suspend included
	jitter  *rand.Rand
	log     *slog.Logger

	assign chan assigned
	now    chan asked
	stop   chan string
	done   chan *job

	jobs    map[string]*job
	queues  map[holdfast.Cost][]*job // due, waiting for room
	running map[holdfast.Cost]int
	busy    map[string]*job // check → the job whose run has not ended, dropped or not
}

// assigned is a new set of checks, and how long ago each last ran; a check that
// is not in ages is to run soon.
type assigned struct {
	checks []holdfast.Check
	ages   map[string]time.Duration
}

// asked is a check that somebody wants to run at once.
type asked struct {
	check string
	tell  Teller
}

// Teller hears how a run that was asked for fares: waiting, running, and in the end
// done, or dropped where the check is not on the schedule or leaves it. Since is
// when it began; zero: it has not. It is called from the scheduler's goroutine and must not block.
type Teller func(state holdfast.RunState, since time.Time)

// job is one check on the schedule.
type job struct {
	check   holdfast.Check
	cost    holdfast.Cost // as it was when the job was queued last
	phase   time.Duration // its slots are phase + n × Every
	due     time.Duration
	waiting bool               // in a queue
	cancel  context.CancelFunc // nil: not running
	began   time.Time          // while it runs
	asked   bool               // it waits or runs only because somebody asked
	tell    []Teller           // of those who asked for a run and have not heard its end
}

// says tells everybody who asked; an end is told once.
func (j *job) says(state holdfast.RunState) {
	for _, tell := range j.tell {
		tell(state, j.began)
	}
	if !state.Live() {
		j.tell = nil
	}
}

// NewScheduler returns a scheduler that has nothing to do yet. Look is called
// from many goroutines, each call with a context that ends when the check's
// time is up; it must return soon after.
func NewScheduler(agent string, look func(context.Context, holdfast.Check), cost func(holdfast.Check) holdfast.Cost,
	elapsed func() time.Duration, jitter *rand.Rand, log *slog.Logger) *Scheduler {
	return &Scheduler{
		agent: agent, look: look, cost: cost, elapsed: elapsed, jitter: jitter, log: log,
		assign: make(chan assigned), now: make(chan asked), stop: make(chan string), done: make(chan *job),
		jobs: map[string]*job{}, queues: map[holdfast.Cost][]*job{}, running: map[holdfast.Cost]int{},
		busy: map[string]*job{},
	}
}

// Assign replaces the set of checks. One that is as before keeps its place and a
// run under way; one that is new or changed runs soon, unless ages says that it
// ran a short time ago; one that is gone is cancelled.
func (s *Scheduler) Assign(ctx context.Context, checks []holdfast.Check, ages map[string]time.Duration) {
	select {
	case s.assign <- assigned{checks, ages}:
	case <-ctx.Done():
	}
}

// RunNow runs a check at once, or as soon as there is room: the bounds of its class
// hold for it as well. The run of one that is running already counts. Tell may be
// nil.
func (s *Scheduler) RunNow(ctx context.Context, id string, tell Teller) {
	if tell == nil {
		tell = func(holdfast.RunState, time.Time) {}
	}
	select {
	case s.now <- asked{id, tell}:
	case <-ctx.Done():
	}
}

// StopRun ends what RunNow began: the run is cancelled, or does not begin. One that
// was due anyhow goes on, and nobody is told of it any more.
func (s *Scheduler) StopRun(ctx context.Context, id string) {
	select {
	case s.stop <- id:
	case <-ctx.Done():
	}
}

// Run schedules until ctx is done, then cancels what is running and returns when
// all of it has ended.
func (s *Scheduler) Run(ctx context.Context) {
	alarm := time.NewTimer(longestNap)
	defer alarm.Stop()
	for {
		select {
		case a := <-s.assign:
			s.apply(a)
		case a := <-s.now:
			s.runNow(a)
		case id := <-s.stop:
			s.stopRun(id)
		case j := <-s.done:
			s.finished(j)
		case <-alarm.C:
		case <-ctx.Done():
			s.drain()
			return
		}
		alarm.Reset(s.startDue(ctx))
	}
}

func (s *Scheduler) drain() {
	for len(s.busy) > 0 {
		s.finished(<-s.done)
	}
}

func (s *Scheduler) apply(a assigned) {
	now, kept := s.elapsed(), make(map[string]*job, len(a.checks))
	for _, check := range a.checks {
		old := s.jobs[check.ID]
		if old != nil && old.check == check {
			kept[check.ID] = old
			continue
		}
		age, known := a.ages[check.ID]
		kept[check.ID] = s.newJob(check, now, age, known)
	}
	for id, j := range s.jobs {
		if kept[id] != j {
			s.drop(j)
		}
	}
	s.jobs = kept
	s.log.Debug("checks assigned", "checks", len(kept))
}

func (s *Scheduler) newJob(check holdfast.Check, now, age time.Duration, known bool) *job {
	every := check.Every.Std()
	h := fnv.New64a()
	h.Write([]byte(s.agent + "\x00" + check.ID))
	place := func(within time.Duration) time.Duration { return time.Duration(h.Sum64() % uint64(within)) }
	j := &job{check: check}
	if known && age >= 0 && age < every {
		j.phase = now - age
		j.due = j.phase + every
		return j
	}
	j.phase = now + place(every) - every // in the past, where slots are counted from
	j.due = now + place(min(every, firstWithin))
	return j
}

// drop takes a job off the schedule. Its run, if it has one, is cancelled and
// still counts against its class until it has ended.
func (s *Scheduler) drop(j *job) {
	if j.cancel != nil {
		j.cancel()
	}
	s.queues[j.cost] = slices.DeleteFunc(s.queues[j.cost], func(k *job) bool { return k == j })
	j.says(holdfast.RunDropped)
}

func (s *Scheduler) runNow(a asked) {
	j := s.jobs[a.check]
	if j == nil {
		a.tell(holdfast.RunDropped, time.Time{})
		return
	}
	j.tell = append(j.tell, a.tell)
	busy := s.busy[a.check]
	if busy == j {
		j.says(holdfast.RunRunning)
		return
	}
	switch {
	case busy != nil: // the run of the check as it was before has yet to end
		j.due = s.elapsed()
	case !j.waiting:
		s.wait(j)
		j.asked = true
	}
	j.says(holdfast.RunWaiting)
}

func (s *Scheduler) stopRun(id string) {
	j := s.jobs[id]
	switch {
	case j == nil || len(j.tell) == 0:
	case !j.asked:
		j.says(holdfast.RunDropped)
	case j.cancel != nil:
		j.cancel() // who asked is told when it has ended
	case j.waiting:
		s.queues[j.cost] = slices.DeleteFunc(s.queues[j.cost], func(k *job) bool { return k == j })
		j.waiting, j.asked = false, false
		j.says(holdfast.RunDropped)
	}
}

func (s *Scheduler) wait(j *job) {
	j.waiting = true
	j.cost = s.cost(j.check)
	s.queues[j.cost] = append(s.queues[j.cost], j)
}

func (s *Scheduler) finished(j *job) {
	j.cancel()
	j.cancel = nil
	s.running[j.cost]--
	delete(s.busy, j.check.ID)
	j.says(holdfast.RunDone)
	j.began, j.asked = time.Time{}, false
}

// startDue starts what is due and has room, and returns how long there is
// nothing to do after that.
func (s *Scheduler) startDue(ctx context.Context) time.Duration {
	now := s.elapsed()
	nap := longestNap
	var due []*job
	for _, j := range s.jobs {
		if j.due <= now {
			due = append(due, j)
			continue
		}
		nap = min(nap, j.due-now)
	}
	slices.SortFunc(due, func(a, b *job) int { return int(a.due - b.due) })
	for _, j := range due {
		if b := s.busy[j.check.ID]; b != nil && b != j {
			continue // the run of the check as it was before has yet to end
		}
		s.reschedule(j, now)
		nap = min(nap, j.due-now)
		if j.cancel == nil && !j.waiting {
			s.wait(j)
		} else {
			s.log.Debug("check still under way when due again", "check", j.check.ID)
		}
	}
	for cost, queue := range s.queues {
		n := min(len(queue), atOnce[cost]-s.running[cost])
		for _, j := range queue[:n] {
			s.start(ctx, j)
		}
		s.queues[cost] = slices.Delete(queue, 0, n)
	}
	return nap
}

// reschedule makes a job due at its next slot that is at least half an interval
// away, and a little later: a job that ran late keeps its place and does not run
// twice in short order.
func (s *Scheduler) reschedule(j *job, now time.Duration) {
	every := j.check.Every.Std()
	slots := (now+every/2-j.phase)/every + 1
	j.due = j.phase + slots*every + time.Duration(s.jitter.Int64N(int64(min(every/20, 5*time.Second))+1))
}

func (s *Scheduler) start(ctx context.Context, j *job) {
	ctx, j.cancel = context.WithTimeout(ctx, limitOf(j.check).Std())
	j.waiting = false
	s.running[j.cost]++
	s.busy[j.check.ID] = j
	j.began = time.Now()
	j.says(holdfast.RunRunning)
	go func() {
		s.look(ctx, j.check)
		s.done <- j
	}()
}

// limitOf is how long a run of a check may take: its timeout, and less than its
// interval whatever the assignment says, so that a run ends before the next is
// due.
func limitOf(c holdfast.Check) holdfast.Duration {
	if c.Timeout <= 0 || c.Timeout >= c.Every {
		return c.Every * 9 / 10
	}
	return c.Timeout
}
