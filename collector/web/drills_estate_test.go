package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/drill"
	"github.com/holdfast-monitor/holdfast/collector/store"
)

// walks is the real keeper of drills over the estate's own; nothing walks them.
type walks struct {
	once    sync.Once
	manager *drill.Manager
}

const (
	liveDrill   = "20260620-0badcafe" // people are asked for its last but one step
	otherDrill  = "20260620-0badf00d" // a restore runs
	passedDrill = "20260612-0badcafe"
	failedDrill = "20260405-0badcafe"
)

// drillsOf is one drill under way, one that passed with a reservation and one that
// failed.
func drillsOf(now time.Time) []holdfast.Drill {
	at := func(minutes float64) time.Time { return now.Add(time.Duration(minutes * float64(time.Minute))) }
	order := holdfast.DrillOrder{Service: "payments", Path: "restore-in-ams"}
	live := holdfast.Drill{
		ID: liveDrill, DrillOrder: order, Site: "ams", Plan: "site-loss-plan", Version: "7", By: "dana", Started: at(-34), Alive: now,
		Terms: holdfast.DrillTerms{Expected: holdfast.Duration(22 * time.Minute), RestoreOnly: true, People: holdfast.Duration(25 * time.Minute), Committed: holdfast.Duration(40 * time.Minute),
			RTO: holdfast.Objective{Limit: holdfast.Duration(time.Hour)}, RPO: holdfast.Objective{Limit: holdfast.Duration(15 * time.Minute)}, MBCO: "Authorise cards, without loyalty points"},
	}
	add := func(x holdfast.DrillStep) { x.Number = len(live.Steps) + 1; live.Steps = append(live.Steps, x) }
	ran := func(kind holdfast.DrillStepKind, name, check string, from, until float64, o holdfast.Outcome, say string) holdfast.DrillStep {
		return holdfast.DrillStep{Kind: kind, Name: name, Check: check, Agent: "dr1", State: holdfast.StepDone, Asked: at(from), Began: at(from), Ended: at(until), Outcome: o, Summary: say}
	}
	add(holdfast.DrillStep{Kind: holdfast.StepPerson, Name: "declare", Title: "Call both teams and declare the loss of the site", Who: "payments-team", Expect: holdfast.Duration(10 * time.Minute),
		State: holdfast.StepDone, Asked: at(-34), Ended: at(-27), By: "ada", EnteredBy: "dana", Note: "chris not reached"})
	add(ran(holdfast.StepNeed, "payments/restore-in-ams/host.capacity", "payments/restore-in-ams/host.capacity", -27, -26.9, holdfast.OK, "412 GiB free"))
	add(ran(holdfast.StepNeed, "payments/restore-in-ams/gateway", "payments/restore-in-ams/gateway", -26.9, -26.8, holdfast.OutcomeDegraded, "certificate ends in 19 d"))
	add(holdfast.DrillStep{Kind: holdfast.StepPaper, Name: "plan/site-loss-plan", State: holdfast.StepDone, Asked: at(-26.8), Ended: at(-26.8), Outcome: holdfast.OK, Summary: "met"})
	add(ran(holdfast.StepCopy, "payments/ledger/offsite", "payments/ledger/offsite", -26.8, -26.5, holdfast.OK, "newest point 8 min old"))
	restore := ran(holdfast.StepRestore, "payments/restore-in-ams/restored/ledger", "payments/restore-in-ams/restored/ledger", -26.5, -4, holdfast.OK, "12 GiB restored, 14 checks passed")
	restore.Point, restore.Bytes, restore.Restored, restore.Coverage, restore.Data, restore.Expect = at(-46), 12<<30, holdfast.Duration(22*time.Minute), 1, []string{"ledger"}, holdfast.Duration(18*time.Minute)
	add(restore)
	add(ran(holdfast.StepRestore, "payments/restore-in-ams/restored/receipts", "payments/restore-in-ams/restored/receipts", -4, -1, holdfast.OK, "800 MiB restored, 2 checks passed"))
	add(holdfast.DrillStep{Kind: holdfast.StepPerson, Name: "names", Title: "Point the names at Amsterdam", Who: "platform-team", Expect: holdfast.Duration(5 * time.Minute), State: holdfast.StepAsked, Asked: at(-1)})
	add(holdfast.DrillStep{Kind: holdfast.StepMBCO, Name: "payments/restore-in-ams/mbco", Check: "payments/restore-in-ams/mbco", Agent: "dr1", Title: live.Terms.MBCO, State: holdfast.StepPlanned})

	other := holdfast.Drill{
		ID: otherDrill, DrillOrder: holdfast.DrillOrder{Service: "shop", Path: "restore-in-ams"}, Site: "ams", Plan: "restore-plan", Version: "2.10", By: "emre", Started: at(-6), Alive: now,
		Terms: holdfast.DrillTerms{RTO: holdfast.Objective{Limit: holdfast.Duration(4 * time.Hour)}, RPO: holdfast.Objective{Limit: holdfast.Duration(time.Hour)}},
		Steps: []holdfast.DrillStep{
			ran(holdfast.StepNeed, "shop/restore-in-ams/store", "shop/restore-in-ams/store", -6, -5.9, holdfast.OK, "answers"),
			{Kind: holdfast.StepRestore, Name: "shop/restore-in-ams/restored", Check: "shop/restore-in-ams/restored", Agent: "dr1", State: holdfast.StepRunning, Asked: at(-5.9), Began: at(-5.8),
				Data: []string{"catalogue"}, Expect: holdfast.Duration(4 * time.Minute), Phase: &holdfast.Phase{Name: "restore", Done: 62, Total: 100}, Run: "7"},
			{Kind: holdfast.StepPerson, Name: "confirm", Title: "Look at what came back and confirm that shop could run from it", Who: "platform-team", State: holdfast.StepPlanned},
		},
	}
	for i := range other.Steps {
		other.Steps[i].Number = i + 1
	}

	over := func(id string, days int, verdict holdfast.DrillVerdict) holdfast.Drill {
		var d holdfast.Drill
		b, _ := json.Marshal(live)
		if err := json.Unmarshal(b, &d); err != nil {
			panic(err)
		}
		shift := time.Duration(days) * 24 * time.Hour
		d.ID, d.Verdict, d.Started, d.Record = id, verdict, d.Started.Add(-shift), "000001"
		d.Took, d.Ended = holdfast.Duration(41*time.Minute), d.Started.Add(41*time.Minute)
		d.Point, d.Loss, d.Bytes, d.People = d.Started.Add(-12*time.Minute), holdfast.Duration(12*time.Minute), 12<<30, []string{"ada", "dana"}
		for i := range d.Steps {
			x := &d.Steps[i]
			if x.State.Open() {
				x.State, x.Asked, x.Ended, x.Phase, x.Outcome, x.By = holdfast.StepDone, at(-4), at(3), nil, holdfast.OK, ""
			}
			if x.Kind == holdfast.StepPerson {
				x.By, x.EnteredBy = "ada", "ada"
			}
			if !x.Asked.IsZero() {
				x.Asked, x.Ended = x.Asked.Add(-shift), x.Ended.Add(-shift)
			}
		}
		return d
	}
	passed := over(passedDrill, 8, holdfast.DrillPassed)
	passed.Gaps = []holdfast.DrillGap{
		{Kind: holdfast.GapReservation, Step: 3, Text: "payments/restore-in-ams/gateway passed with a reservation: certificate ends in 19 d"},
		{Kind: holdfast.GapLate, Step: 6, Text: "payments/restore-in-ams/restored/ledger took 22m, 18m expected", Late: holdfast.Duration(4 * time.Minute)},
	}
	failed := over(failedDrill, 76, holdfast.DrillFailed)
	failed.Steps[5].State, failed.Steps[5].Outcome, failed.Steps[5].Reason, failed.Steps[5].Summary = holdfast.StepFailed, holdfast.Failed, holdfast.Damaged, "pack 5f1c is damaged"
	for i := 6; i < len(failed.Steps); i++ {
		failed.Steps[i] = holdfast.DrillStep{Number: i + 1, Kind: failed.Steps[i].Kind, Name: failed.Steps[i].Name, Who: failed.Steps[i].Who, State: holdfast.StepSkipped}
	}
	failed.Point, failed.Loss, failed.Bytes = time.Time{}, 0, 0
	failed.Gaps = []holdfast.DrillGap{
		{Kind: holdfast.GapStep, Step: 6, Text: "payments/restore-in-ams/restored/ledger failed: pack 5f1c is damaged"},
		{Kind: holdfast.GapStep, Text: "3 of 9 steps were not walked"}, {Kind: holdfast.GapData, Text: "dataset ledger was not restored"},
	}
	return []holdfast.Drill{live, other, passed, failed}
}

// walker is the keeper of drills; it reads the estate's the first time.
func (e *estate) walker() *drill.Manager {
	e.walks.once.Do(func() {
		m, err := drill.New(context.Background(), drill.Config{
			Documents: shelf{e}, Source: e, Runner: nobody{}, Log: slog.New(slog.DiscardHandler), Now: e.now,
			Enter: func(ctx context.Context, r holdfast.Record) (holdfast.Record, error) { return e.Record(ctx, r) },
			Changed: func() {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.tell()
			},
		})
		if err != nil {
			panic(err)
		}
		e.walks.manager = m
	})
	return e.walks.manager
}

// shelf is where the keeper finds the estate's drills; it keeps nothing.
type shelf struct{ e *estate }

func (s shelf) PutDocuments(context.Context, []store.Document, ...store.DocumentKey) error {
	return s.e.broken
}

func (s shelf) Documents(_ context.Context, kind string) iter.Seq2[store.Document, error] {
	return func(yield func(store.Document, error) bool) {
		put := func(id string, v any) bool {
			b, err := json.Marshal(v)
			return yield(store.Document{DocumentKey: store.DocumentKey{Kind: kind, Name: id}, Value: b}, err)
		}
		for i := range s.e.drills {
			if kind == "drill" && !put(s.e.drills[i].ID, s.e.drills[i]) {
				return
			}
		}
		for i := range s.e.bookings {
			if kind == "booking" && !put(s.e.bookings[i].ID, s.e.bookings[i]) {
				return
			}
		}
	}
}

// nobody runs nothing.
type nobody struct{}

func (nobody) RunCheck(context.Context, string, string) (holdfast.Run, error) {
	return holdfast.Run{}, fmt.Errorf("nobody is there")
}
func (nobody) Run(string) (holdfast.Run, bool) { return holdfast.Run{}, false }
func (nobody) StopRun(string, string) error    { return holdfast.ErrInvalid }

func (e *estate) Drills() []holdfast.Drill               { return e.walker().Drills() }
func (e *estate) RunningDrills() []holdfast.Drill        { return e.walker().Running() }
func (e *estate) Drill(id string) (holdfast.Drill, bool) { return e.walker().Drill(id) }
func (e *estate) PlanDrill(o holdfast.DrillOrder) (holdfast.DrillPlan, error) {
	return e.walker().Plan(o)
}
func (e *estate) StartDrill(ctx context.Context, o holdfast.DrillOrder, by holdfast.Who) (holdfast.Drill, error) {
	return e.walker().Start(ctx, o, by)
}
func (e *estate) AnswerDrill(ctx context.Context, id, step string, a holdfast.DrillAnswer, by holdfast.Who) (holdfast.Drill, error) {
	return e.walker().Answer(ctx, id, step, a, by)
}
func (e *estate) CancelDrill(ctx context.Context, id, reason string, by holdfast.Who) (holdfast.Drill, error) {
	return e.walker().Cancel(ctx, id, reason, by)
}
func (e *estate) DrillBookings() []holdfast.DrillBooking { return e.walker().Bookings() }
func (e *estate) BookDrill(ctx context.Context, b holdfast.DrillBooking, by holdfast.Who) (holdfast.DrillBooking, []string, error) {
	return e.walker().Book(ctx, b, by)
}
func (e *estate) UnbookDrill(ctx context.Context, id string, by holdfast.Who) error {
	return e.walker().Unbook(ctx, id, by)
}
