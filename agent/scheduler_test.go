package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// bench runs a scheduler in a synctest bubble and notes when each check runs.
type bench struct {
	t     *testing.T
	start time.Time
	*agent.Scheduler

	mu     sync.Mutex
	asleep time.Duration // how long the host was suspended
	runs   map[string][]time.Duration
	limits map[string]time.Duration // of the newest run
	active map[string]int
	most   map[string]int           // by probe: most at once
	takes  map[string]time.Duration // by probe; longer than its limit: until cancelled
	costs  map[string]holdfast.Cost // by probe; default cheap
}

func newBench(t *testing.T, seed uint64) *bench {
	b := &bench{t: t, start: time.Now(), runs: map[string][]time.Duration{}, limits: map[string]time.Duration{},
		active: map[string]int{}, most: map[string]int{}, takes: map[string]time.Duration{}, costs: map[string]holdfast.Cost{}}
	b.Scheduler = agent.NewScheduler("dr1", b.look, b.cost, b.elapsed, rand.New(rand.NewPCG(seed, 1)), slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() { b.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return b
}

func (b *bench) elapsed() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.start) + b.asleep
}

func (b *bench) suspend(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asleep += d
}

func (b *bench) cost(c holdfast.Check) holdfast.Cost {
	if cost, ok := b.costs[c.Probe]; ok {
		return cost
	}
	return holdfast.Cheap
}

func (b *bench) look(ctx context.Context, c holdfast.Check) {
	at := b.elapsed()
	b.mu.Lock()
	b.runs[c.ID] = append(b.runs[c.ID], at)
	deadline, _ := ctx.Deadline()
	b.limits[c.ID] = time.Until(deadline)
	b.active[c.Probe]++
	b.active["check "+c.ID]++
	b.most[c.Probe] = max(b.most[c.Probe], b.active[c.Probe])
	if b.active["check "+c.ID] > 1 {
		b.t.Errorf("check %s runs twice at once", c.ID)
	}
	b.mu.Unlock()
	if takes := b.takes[c.Probe]; takes > 0 { // several timers that are due at once crash Go 1.26 under the race detector
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active[c.Probe]--
	b.active["check "+c.ID]--
}

// ran returns when a check ran since the last call.
func (b *bench) ran(id string) []time.Duration {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.runs[id]
	b.runs[id] = nil
	return r
}

// running returns how many runs of a check go on.
func (b *bench) running(id string) int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active["check "+id]
}

// after lets time pass in the bubble.
func after(d time.Duration) { <-time.After(d); synctest.Wait() }

func checkEvery(id, probe string, every time.Duration) holdfast.Check {
	return holdfast.Check{ID: id, Probe: probe, Every: holdfast.Duration(every), Timeout: holdfast.Duration(every / 2)}
}

func TestSchedulerKeepsAPlaceInTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.Assign(t.Context(), []holdfast.Check{checkEvery("a/b/c", "host.disk", 10*time.Second)}, nil)
		after(time.Hour)
		runs := b.ran("a/b/c")
		if got, want := len(runs), 360; got != want {
			t.Fatalf("got %d runs in an hour, want %d", got, want)
		}
		first := runs[0]
		if first < 0 || first >= 10*time.Second {
			t.Errorf("first run after %s, want within the interval", first)
		}
		for i, at := range runs {
			if late := at - first - time.Duration(i)*10*time.Second; late < 0 || late > 500*time.Millisecond {
				t.Fatalf("run %d at %s is %s from its place, want 0 to 0.5 s", i, at, late)
			}
		}
		if got, want := b.limits["a/b/c"], 5*time.Second; got != want {
			t.Errorf("deadline %s after the start, want %s", got, want)
		}
	})
}

func TestSchedulerIsExact(t *testing.T) {
	// The same agent, check and seed give the same schedule: a change of these
	// times is a change of every host's schedule.
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 7)
		b.Assign(t.Context(), []holdfast.Check{checkEvery("ledger/db/hourly", "restic.repository", 5*time.Minute)}, nil)
		after(21 * time.Minute)
		got := b.ran("ledger/db/hourly")
		for i := range got {
			got[i] = got[i].Truncate(time.Millisecond)
		}
		want := []time.Duration{8109 * time.Millisecond, // soon, as it never ran
			6*time.Minute + 41198*time.Millisecond, 11*time.Minute + 42122*time.Millisecond, 16*time.Minute + 38313*time.Millisecond}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("schedule (-got +want):\n%s", diff)
		}
	})
}

func TestSchedulerSpreadsChecksAndAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		var checks []holdfast.Check
		for i := range 600 {
			checks = append(checks, checkEvery(fmt.Sprintf("s/p/%d", i), "net.tcp", time.Minute))
		}
		b.Assign(t.Context(), checks, nil)
		after(2 * time.Minute) // past the first runs, which come soon
		for _, c := range checks {
			b.ran(c.ID)
		}
		after(10 * time.Minute)
		var seconds [60]int
		for _, c := range checks {
			runs := b.ran(c.ID)
			if len(runs) < 9 || len(runs) > 11 {
				t.Fatalf("%s ran %d times in ten minutes, want ten", c.ID, len(runs))
			}
			for _, at := range runs {
				seconds[at/time.Second%60]++
			}
		}
		for s, n := range seconds {
			if n > 200 {
				t.Errorf("%d runs in second %d of the minute, want about 100", n, s)
			}
		}
	})
}

func TestSchedulerStartsLongIntervalsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		week := 7 * 24 * time.Hour
		weekly := checkEvery("s/p/restored", "restic.restore", week)
		b.Assign(t.Context(), []holdfast.Check{weekly}, nil)
		after(30 * time.Second)
		if got := b.ran(weekly.ID); len(got) != 1 {
			t.Fatalf("a weekly check that never ran ran %d times within 30 s, want once", len(got))
		}
		after(3 * week)
		got := b.ran(weekly.ID)
		if len(got) < 2 || len(got) > 3 || got[0] < week/2 {
			t.Errorf("runs %v, want about one a week, none sooner than half an interval", got)
		}
	})
}

func TestSchedulerGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		checks := []holdfast.Check{checkEvery("recent", "p", time.Hour), checkEvery("overdue", "p", time.Hour), checkEvery("future", "p", time.Hour)}
		b.Assign(t.Context(), checks, map[string]time.Duration{
			"recent": 20 * time.Minute, "overdue": 61 * time.Minute, "future": -time.Minute})
		after(30 * time.Second)
		if got := b.ran("recent"); len(got) != 0 {
			t.Errorf("a check that ran 20 minutes ago ran at %v, want not yet", got)
		}
		for _, id := range []string{"overdue", "future"} {
			if got := b.ran(id); len(got) != 1 {
				t.Errorf("%s ran %d times within 30 s, want once", id, len(got))
			}
		}
		after(40*time.Minute - 30*time.Second)
		if got, want := b.ran("recent"), []time.Duration{40 * time.Minute}; cmp.Diff(got, want) != "" {
			t.Errorf("recent ran at %v, want %v", got, want)
		}
	})
}

func TestSchedulerBoundsEachClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.costs = map[string]holdfast.Cost{"io": holdfast.IO, "heavy": holdfast.Heavy}
		b.takes = map[string]time.Duration{"cheap": 29 * time.Second, "io": 20 * time.Second, "heavy": 20 * time.Second}
		var checks []holdfast.Check
		for i := range 40 {
			for _, p := range []string{"cheap", "io", "heavy"} {
				checks = append(checks, checkEvery(fmt.Sprintf("%s/%d", p, i), p, time.Minute))
			}
		}
		b.Assign(t.Context(), checks, nil)
		after(30 * time.Minute)
		if diff := cmp.Diff(map[string]int{"cheap": b.most["cheap"], "io": b.most["io"], "heavy": b.most["heavy"]},
			map[string]int{"cheap": 16, "io": 2, "heavy": 1}); diff != "" {
			t.Errorf("most at once (-got +want):\n%s", diff)
		}
		for _, c := range checks {
			// 40 heavy checks of 20 s need 800 s a round: nobody starves.
			if got := b.ran(c.ID); len(got) < 2 {
				t.Errorf("%s ran %d times in 30 minutes, want at least 2", c.ID, len(got))
			}
		}
	})
}

func TestSchedulerHangingChecksDelayNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.takes = map[string]time.Duration{"hang": time.Hour}
		checks := []holdfast.Check{checkEvery("quick", "quick", 10*time.Second)}
		for i := range 10 {
			checks = append(checks, checkEvery(fmt.Sprint("hang/", i), "hang", 20*time.Second))
		}
		b.Assign(t.Context(), checks, nil)
		after(10 * time.Minute)
		runs := b.ran("quick")
		for i, at := range runs {
			if late := at - runs[0] - time.Duration(i)*10*time.Second; late > time.Second {
				t.Errorf("run %d is %s late, want at most 1 s", i, late)
			}
		}
		if len(runs) != 60 {
			t.Errorf("got %d runs in ten minutes, want 60", len(runs))
		}
	})
}

func TestSchedulerLeavesUnchangedChecksAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.takes = map[string]time.Duration{"slow": 40 * time.Second}
		keep, change, drop := checkEvery("keep", "slow", 2*time.Minute), checkEvery("change", "slow", 2*time.Minute), checkEvery("drop", "slow", 2*time.Minute)
		b.Assign(t.Context(), []holdfast.Check{keep, change, drop}, nil)
		after(10 * time.Minute)
		b.ran("keep")
		for b.running("keep") == 0 {
			after(time.Second)
		}
		began := b.ran("keep")[0]
		b.RunNow(t.Context(), "change", nil)
		b.RunNow(t.Context(), "drop", nil)
		synctest.Wait()
		b.ran("change")
		b.ran("drop")
		changed := change
		changed.With = `{"path":"/srv"}`
		b.Assign(t.Context(), []holdfast.Check{keep, changed, checkEvery("new", "slow", 2*time.Minute)}, nil)
		synctest.Wait()
		for id, want := range map[string]int{"keep": 1, "change": 0, "drop": 0} {
			if got := b.running(id); got != want {
				t.Errorf("%d runs of %s go on after the change, want %d", got, id, want)
			}
		}
		after(time.Minute)
		for id, want := range map[string]int{"change": 1, "new": 1, "drop": 0} {
			if got := b.ran(id); len(got) != want {
				t.Errorf("%s ran at %v within a minute of the change, want %d runs", id, got, want)
			}
		}
		after(2 * time.Minute)
		if got := b.ran("keep"); len(got) == 0 || got[0]-began < 114*time.Second || got[0]-began > 126*time.Second {
			t.Errorf("the unchanged check began at %s and then at %v, want its place two minutes on", began, got)
		}
	})
}

func TestSchedulerRunsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.takes = map[string]time.Duration{"p": 5 * time.Second}
		b.Assign(t.Context(), []holdfast.Check{checkEvery("a", "p", time.Hour)}, nil)
		after(10 * time.Minute)
		b.ran("a")
		at := b.elapsed()
		for range 5 {
			b.RunNow(t.Context(), "a", nil)
		}
		b.RunNow(t.Context(), "nobody", nil)
		after(time.Second)
		if diff := cmp.Diff(b.ran("a"), []time.Duration{at}); diff != "" {
			t.Errorf("five requests (-got +want one run at once):\n%s", diff)
		}
		after(10 * time.Second)
		b.RunNow(t.Context(), "a", nil)
		after(time.Second)
		if got := b.ran("a"); len(got) != 1 {
			t.Errorf("a later request gave %d runs, want one", len(got))
		}
	})
}

// TestSchedulerTellsWhoAsked: a run that was asked for is told of until it ends,
// also where it waits for others, was under way already, or its check is replaced.
func TestSchedulerTellsWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.takes = map[string]time.Duration{"p": 5 * time.Second}
		b.costs = map[string]holdfast.Cost{"p": holdfast.Heavy}
		a, c := checkEvery("a", "p", time.Hour), checkEvery("c", "p", time.Hour)
		b.Assign(t.Context(), []holdfast.Check{a, c}, map[string]time.Duration{"a": time.Minute, "c": time.Minute})
		var mu sync.Mutex
		said := map[string][]string{}
		ask := func(id, as string) {
			b.RunNow(t.Context(), id, func(s holdfast.RunState, since time.Time) {
				mu.Lock()
				defer mu.Unlock()
				if s == holdfast.RunWaiting && !since.IsZero() || s == holdfast.RunRunning && since.IsZero() {
					t.Errorf("%s %s since %v: want the instant it began, once it has", as, s, since)
				}
				said[as] = append(said[as], fmt.Sprintf("%s at %s", s, b.elapsed()))
			})
			synctest.Wait()
		}
		ask("a", "first")
		ask("c", "waits for a")
		after(2 * time.Second)
		ask("a", "joins")
		ask("nobody", "unknown")
		after(time.Minute - 2*time.Second)
		ask("a", "replaced")
		changed := a
		changed.With = `{"x":1}`
		b.Assign(t.Context(), []holdfast.Check{changed, c}, map[string]time.Duration{"c": time.Minute})
		after(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := map[string][]string{
			"first":       {"waiting at 0s", "running at 0s", "running at 2s", "done at 5s"},
			"waits for a": {"waiting at 0s", "running at 5s", "done at 10s"},
			"joins":       {"running at 2s", "done at 5s"},
			"unknown":     {"dropped at 2s"},
			"replaced":    {"waiting at 1m0s", "running at 1m0s", "dropped at 1m0s"},
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// TestSchedulerStopsWhatWasAsked: a run that was asked for is cancelled, one that
// waits does not begin, and one that was due anyhow goes on.
func TestSchedulerStopsWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.takes = map[string]time.Duration{"p": time.Minute}
		b.costs = map[string]holdfast.Cost{"p": holdfast.Heavy}
		b.Assign(t.Context(), []holdfast.Check{checkEvery("a", "p", time.Hour), checkEvery("c", "p", time.Hour), checkEvery("due", "p", 2*time.Hour)},
			map[string]time.Duration{"a": time.Minute, "c": time.Minute, "due": 2*time.Hour - 10*time.Minute})
		var mu sync.Mutex
		said := map[string][]string{}
		ask := func(id string) {
			b.RunNow(t.Context(), id, func(s holdfast.RunState, _ time.Time) {
				mu.Lock()
				defer mu.Unlock()
				said[id] = append(said[id], fmt.Sprintf("%s at %s", s, b.elapsed()))
			})
			synctest.Wait()
		}
		stop := func(id string) { b.StopRun(t.Context(), id); synctest.Wait() }
		ask("a")
		ask("c")
		after(2 * time.Second)
		stop("c")
		stop("a")
		stop("nobody")
		after(10*time.Minute + 30*time.Second - 2*time.Second)
		ask("due")
		stop("due")
		after(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := map[string][]string{
			"a":   {"waiting at 0s", "running at 0s", "done at 2s"}, // with no outcome: dropped, to who watches
			"c":   {"waiting at 0s", "dropped at 2s"},
			"due": {"running at 10m30s", "dropped at 10m30s"},
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if got := b.ran("c"); len(got) != 0 {
			t.Errorf("c was stopped before it began and ran at %v", got)
		}
		if got := b.ran("due"); len(got) != 1 {
			t.Errorf("due ran at %v, want once: it was due anyhow", got)
		}
	})
}

func TestSchedulerCatchesUpOnceAfterSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.Assign(t.Context(), []holdfast.Check{checkEvery("minutely", "p", time.Minute), checkEvery("daily", "p", 24*time.Hour)}, nil)
		after(13 * time.Hour)
		b.ran("minutely")
		b.ran("daily")
		woke := b.elapsed() + 40*time.Hour
		b.suspend(40 * time.Hour)
		after(20 * time.Second)
		for _, id := range []string{"minutely", "daily"} {
			got := b.ran(id)
			if len(got) != 1 || got[0] < woke || got[0] > woke+15*time.Second {
				t.Errorf("%s ran at %v after waking at %s, want once within 15 s", id, got, woke)
			}
		}
		after(10*time.Minute - 20*time.Second)
		if got := len(b.ran("minutely")); got < 9 || got > 10 {
			t.Errorf("minutely ran %d more times in ten minutes, want 9 or 10", got)
		}
	})
}

// TestSchedulerSurvivesClockJumps tries seeded schedules of suspends and of
// assignments at random moments: no check is lost, and none repeated sooner than
// half its interval.
func TestSchedulerSurvivesClockJumps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			b := newBench(t, seed)
			every := time.Duration(random.IntN(3600)+2) * time.Second
			c := checkEvery("s/d/c", "p", every)
			b.Assign(t.Context(), []holdfast.Check{c, checkEvery("other", "p", every/2+time.Second)}, nil)
			var suspended []time.Duration
			for range 5 {
				after(time.Duration(random.Int64N(int64(3 * every))))
				switch random.IntN(3) {
				case 0:
					b.suspend(time.Duration(random.Int64N(int64(10 * every))))
					suspended = append(suspended, b.elapsed())
				case 1:
					b.Assign(t.Context(), []holdfast.Check{c}, nil)
				}
			}
			after(3 * every)
			runs := b.ran(c.ID)
			for i := 1; i < len(runs); i++ {
				gap := runs[i] - runs[i-1]
				if gap < every/2-every/20 {
					t.Fatalf("seed %d: runs at %s and %s, interval %s", seed, runs[i-1], runs[i], every)
				}
				asleep := false
				for _, s := range suspended {
					asleep = asleep || s > runs[i-1] && s <= runs[i]
				}
				if !asleep && gap > every*3/2+every/20+time.Second {
					t.Fatalf("seed %d: no run between %s and %s, interval %s", seed, runs[i-1], runs[i], every)
				}
			}
			if len(runs) == 0 || b.elapsed()-runs[len(runs)-1] > every*3/2+every/20+time.Second {
				t.Fatalf("seed %d: the check was lost; runs %v, now %s", seed, runs, b.elapsed())
			}
		})
	}
}
