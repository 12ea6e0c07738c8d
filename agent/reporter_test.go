package agent_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
)

// TestNewestFirst spools while nobody listens: the newest of every check arrives
// first, the rest in order behind it and marked so.
func TestNewestFirst(t *testing.T) {
	j := newJudge("a", "b")
	c := serve(t, j)
	p := join(t, c, "db1")
	for i := range 40 {
		p.observe(fmt.Sprint("a", i), "a", "gone")
	}
	p.observe("b40", "b")
	for i := range 5 {
		p.observe(fmt.Sprint("a", 41+i), "a")
	}
	r, _ := p.run()
	j.wait(t, "46 reports", func() bool { return len(j.applied) == 46 })
	if j.applied[0].summary != "a45" || j.applied[0].backlog || j.applied[1].summary != "b40" || j.applied[1].backlog {
		t.Errorf("first came %+v, want a45 and b40 as news", j.applied[:2])
	}
	for i, a := range j.applied[2:] {
		if !a.backlog || i > 0 && a.order <= j.applied[i+1].order {
			t.Errorf("place %d: %+v, want the backlog in order", i+2, a)
		}
	}
	if a := <-p.given; a.Version != "v1" || len(a.Checks) != 2 || a.Checks[0].On != "db1" {
		t.Errorf("given %+v, want v1", a)
	}
	if s := r.State(); s.Unassigned != 40 || !s.Connected {
		t.Errorf("state %+v, want 40 results left out", s)
	}
	p.observe("same", "a", "b")
	j.wait(t, "news", func() bool { return len(j.applied) == 48 })
	p.waitEmpty()
	p.observe("same", "a", "b")
	j.wait(t, "news", func() bool { return len(j.applied) == 50 })
	if last := j.applied[48:]; last[0].body || last[1].body || last[0].summary != "same" {
		t.Errorf("what did not change came as %+v, want it without bodies", last)
	}
	j.once(t, 50)
}

// TestRunsAreTold: what becomes of a run goes up as it changes, and once more where
// a session begins; a check that is not this agent's is answered too.
func TestRunsAreTold(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	news := make(chan struct{}, 1)
	said := []holdfast.Running{{Check: "old", State: holdfast.RunRunning, Started: time.Now().Add(-time.Minute)}} // of before the session
	var mu sync.Mutex
	p.config.RunNews = news
	p.config.Runs = func(bool) []holdfast.Running {
		mu.Lock()
		defer mu.Unlock()
		list := said
		said = nil
		return list
	}
	p.run()
	j.wait(t, "the run of before", func() bool { return len(j.runs) == 1 && j.runs[0].Check == "old" })
	if err := c.Run("db1", "a"); err != nil {
		t.Fatal(err)
	}
	if got := <-p.asked; got != "a" {
		t.Fatalf("asked for %q, want a", got)
	}
	mu.Lock()
	said = []holdfast.Running{
		{Check: "a", State: holdfast.RunRunning, Started: time.Now(), Phase: &holdfast.Phase{Name: "restore", Done: 1, Total: 2}},
		{Check: "a", State: holdfast.RunDone, Outcome: holdfast.OK, Summary: "all of it"},
	}
	mu.Unlock()
	news <- struct{}{}
	j.wait(t, "its end", func() bool { return len(j.runs) == 3 })
	if r := j.runs[1]; r.State != holdfast.RunRunning || r.Phase == nil || *r.Phase != (holdfast.Phase{Name: "restore", Done: 1, Total: 2}) || time.Since(r.Started) > time.Minute {
		t.Errorf("while it ran: got %+v", r)
	}
	if r := j.runs[2]; r.State != holdfast.RunDone || r.Outcome != holdfast.OK || r.Summary != "all of it" {
		t.Errorf("its end: got %+v", r)
	}
}

// TestExactlyOnce cuts connections with a reset at random places, mid-report and
// mid-acknowledgement, while reports are made (N4).
func TestExactlyOnce(t *testing.T) {
	j := newJudge("a", "b", "c")
	c := serve(t, j)
	p := join(t, c, "db1")
	proxy := newProxy(t, c.address)
	p.config.Address = proxy.address
	_, _ = p.run()
	const reports = 210
	for i := range reports {
		p.observe(fmt.Sprint("state ", i/7), "a", "b", "c")
		if i%30 == 29 {
			n := i
			j.wait(t, "a third of what was sent", func() bool { return len(j.applied) > n })
			proxy.cutSoon()
		}
	}
	proxy.calm()
	j.wait(t, "everything", func() bool { return len(j.applied) >= 3*reports })
	p.waitEmpty()
	j.once(t, 3*reports)
	if proxy.cuts() < 4 {
		t.Errorf("only %d connections were cut", proxy.cuts())
	}
}

// TestSilenceIsNoticed takes the power from an agent's host: no connection is
// closed, nothing is heard (N4, half-open).
func TestSilenceIsNoticed(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j, func(c *ingest.Config) { c.SilentAfter = time.Second })
	p := join(t, c, "db1")
	proxy := newProxy(t, c.address)
	p.config.Address = proxy.address
	p.run()
	p.observe("before", "a")
	j.wait(t, "a report", func() bool { return len(j.applied) == 1 })
	proxy.freeze()
	j.wait(t, "silence", func() bool { return !j.states[len(j.states)-1].Connected })
	p.observe("meanwhile", "a")
	proxy.thaw()
	j.wait(t, "what was spooled", func() bool { return len(j.applied) == 2 && j.states[len(j.states)-1].Connected })
	j.once(t, 2)
}

func TestAssignmentsAndRequests(t *testing.T) {
	j := newJudge("a")
	c := serve(t, j)
	p := join(t, c, "db1")
	r, _ := p.run()
	<-p.given
	j.assign("v2", "a", "b")
	c.Reassign()
	if a := <-p.given; a.Version != "v2" || len(a.Checks) != 2 {
		t.Errorf("given %+v, want v2", a)
	}
	p.observe("one", "b", "a")
	j.wait(t, "both", func() bool { return len(j.applied) == 2 })
	if j.applied[0].check != "b" || j.applied[1].check != "a" {
		t.Errorf("applied %+v, want b and a", j.applied)
	}
	if err := c.Run("db1", "b"); err != nil {
		t.Fatal(err)
	}
	if check := <-p.asked; check != "b" {
		t.Errorf("asked to run %q, want b", check)
	}
	p.observe("three", "a")
	r.HealthChanged()
	j.wait(t, "health and a report", func() bool { return len(j.states) >= 3 && len(j.applied) == 3 })
	j.once(t, 3)
}
