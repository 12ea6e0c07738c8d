package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	shownWithin = 4 * time.Minute  // a trouble, and its end
	renewEvery  = 20 * time.Second // people look what is due
)

// trouble is something that happens to the estate, shows, and is mended.
type trouble struct {
	service string // whose posture shows it
	news    string // what happens
	begin   func(context.Context) error
	stages  []stage // what is to be seen, in this order
	mended  string
	mend    func(context.Context) error
}

// stage is what a trouble looks like for a time.
type stage struct {
	what  string // in place of the state, where it is no state
	shown func(holdfast.Posture) bool
}

func state(s holdfast.State) stage {
	return stage{shown: func(p holdfast.Posture) bool { return p.State == s }}
}

// calm lets people do their work until ctx ends, and nothing else happen.
func (d *Demo) calm(ctx context.Context) error {
	d.say("It stays calm. Ctrl-C stops it.")
	for {
		if err := d.rest(ctx, renewEvery); err != nil {
			return err
		}
	}
}

// live lets troubles come and go until ctx ends, one after the other and around
// again.
func (d *Demo) live(ctx context.Context) error {
	for round := 1; ; round++ {
		d.say("\nRound %d. Every state appears and clears again.", round)
		troubles := d.troubles(round)
		for i, t := range troubles {
			if err := d.rest(ctx, d.Hold/2); err != nil {
				return err
			}
			if err := d.play(ctx, fmt.Sprintf("%d/%d", i+1, len(troubles)), t); err != nil {
				return err
			}
		}
	}
}

// rest lets time pass, and people do what is due.
func (d *Demo) rest(ctx context.Context, how time.Duration) error {
	if err := d.people.renew(ctx); err != nil && ctx.Err() == nil {
		d.say("People could not do all that is due: %v", err)
	}
	return pause(ctx, how)
}

func pause(ctx context.Context, how time.Duration) error {
	over := time.NewTimer(how)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-over.C:
		return nil
	}
}

// play lets a trouble begin, show, and be mended, each announced in a line.
func (d *Demo) play(ctx context.Context, number string, t trouble) error {
	d.news("%s %s → %s service %s · http://%s/services/%s", number, t.news, d.Call, t.service, d.pages, t.service)
	if err := t.begin(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.news, err)
	}
	for _, s := range t.stages {
		if err := d.expect(ctx, t.service, s); err != nil {
			return err
		}
		if err := pause(ctx, d.Hold); err != nil {
			return err
		}
	}
	d.detail("%s", t.mended)
	if err := t.mend(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.mended, err)
	}
	return d.expect(ctx, t.service, state(holdfast.Proven))
}

// expect waits for a stage and says how the service stands then. For proven, every
// service must be.
func (d *Demo) expect(ctx context.Context, service string, s stage) error {
	var now holdfast.Posture
	err := d.await(ctx, shownWithin, func(all map[string]holdfast.Posture) bool {
		now = all[service]
		return s.shown(now) && (now.State != holdfast.Proven || s.what != "" || worst(all) == holdfast.Proven)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errLate):
		d.detail("this did not show within %s; %s is %s. Going on.", holdfast.Duration(shownWithin), service, now.State)
		return nil
	case err != nil:
		return err
	}
	score, why := "", ""
	if now.Score != nil {
		score = fmt.Sprintf(", score %d", *now.Score)
	}
	if s.what != "" {
		why = ": " + s.what
	} else if now.Cause != nil {
		why = ": " + now.Cause.Reason
	}
	d.detail("%s is %s%s%s", service, now.State, score, why)
	return nil
}

// news prints a line with the time of day.
func (d *Demo) news(format string, args ...any) {
	d.say("%s  %s", time.Now().Format(time.TimeOnly), oneLine(fmt.Sprintf(format, args...)))
}

// detail prints a line that belongs to the news before it.
func (d *Demo) detail(format string, args ...any) {
	d.say("%s      %s", time.Now().Format(time.TimeOnly), oneLine(fmt.Sprintf(format, args...)))
}

// told prints what the desk has heard.
func (d *Demo) told(status, severity, what string) {
	if status == string(holdfast.AlertResolved) {
		severity = "over"
	}
	d.detail("alert, %s: %s", severity, what)
}

// troubles are those of a round.
func (d *Demo) troubles(round int) []trouble {
	book, ledger := d.estate.dataset("orders/book"), d.estate.dataset("payments/ledger")
	var repair func() error
	return []trouble{
		{
			service: fmt.Sprintf("project-%d", round),
			news:    "A new service joins, backed up and never restored: untested",
			begin:   d.declare(func(t *terms) { t.project(round) }),
			stages:  []stage{state(holdfast.Untested)},
			mended:  "Its data is restored for the first time, which lifts the score.",
			mend:    d.testProject,
		},
		{
			service: "orders",
			news:    "The backup job of orders stops: exposure grows by the second; degraded at the RPO of 75s, broken at the MTDL of 5m if it were left",
			begin:   func(context.Context) error { d.jobs.stop(book); return nil },
			stages:  []stage{state(holdfast.Degraded)},
			mended:  "The backup job runs again, and catches up.",
			mend:    func(ctx context.Context) error { d.jobs.resume(ctx, book); return nil },
		},
		{
			service: "payments",
			news:    "A file of the ledger's backup in the vault is damaged: the copy does not restore",
			begin: func(context.Context) (err error) {
				d.jobs.stop(ledger)
				repair, err = ledger.stores["vault"].damage()
				return err
			},
			stages: []stage{state(holdfast.Broken)},
			mended: "The file is as it was; the next checks must pass.",
			mend: func(ctx context.Context) error {
				err := repair()
				d.jobs.resume(ctx, ledger)
				return err
			},
		},
		{
			service: "webshop",
			news:    "Somebody lifts the lock from the webshop's vault: no path survives ransomware",
			begin:   d.declare(func(t *terms) { t.ShopImmutable = false }),
			stages:  []stage{state(holdfast.Uncovered)},
			mended:  "The lock is back.",
			mend:    d.declare(func(t *terms) { t.ShopImmutable = true }),
		},
		{
			service: "identity",
			news:    "The certificate of the standby sign-in has 45 s left: it costs points, then the path",
			begin:   func(context.Context) error { return d.certify("login", standby["login"].age, 45*time.Second) },
			stages:  []stage{{what: "its certificate ends soon", shown: expiring}, state(holdfast.Broken)},
			mended:  "The certificate is renewed.",
			mend:    func(context.Context) error { return d.certify("login", 0, 90*day) },
		},
		{
			service: "payments",
			news:    fmt.Sprintf("The plan payments-recovery becomes version %d: the exercise was of version %d", d.terms.PaymentsPlan+1, d.terms.PaymentsPlan),
			begin:   d.declare(func(t *terms) { t.PaymentsPlan++ }),
			stages:  []stage{state(holdfast.Stale)},
			mended:  "The payments team exercises the new version, and records it.",
			mend:    func(ctx context.Context) error { return d.people.exerciseNow(ctx, "payments") },
		},
		{
			service: "payments",
			news:    "The agent ams1 is killed: its silence shows at once, its needs turn unknown as they run out",
			begin:   func(context.Context) error { d.agents["ams1"].kill(); return nil },
			stages:  []stage{state(holdfast.Unknown)},
			mended:  "The agent is started again.",
			mend:    func(context.Context) error { return d.startAgent("ams1") },
		},
	}
}

func expiring(p holdfast.Posture) bool {
	for _, f := range p.Findings {
		if f.Code == "expiring" && f.Points > 0 {
			return true
		}
	}
	return false
}

// declare changes the catalogue.
func (d *Demo) declare(change func(*terms)) func(context.Context) error {
	return func(context.Context) error {
		change(d.terms)
		return d.terms.write(d.folder.catalogue())
	}
}

// testProject gives the newest project a restore test. Without restic people
// restore it.
func (d *Demo) testProject(ctx context.Context) error {
	if d.estate.restic == "" {
		return d.people.exerciseNow(ctx, d.terms.Project)
	}
	return d.declare(func(t *terms) { t.ProjectTested = true })(ctx)
}

// certify replaces the certificate of a standby endpoint.
func (d *Demo) certify(name string, age, left time.Duration) error {
	cert, err := d.estate.authority.issue(hostName(name), age, left)
	if err == nil {
		d.estate.endpoints[name].cert.Store(cert)
	}
	return err
}

// oneLine keeps a line of news one line, whatever a tool said.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
