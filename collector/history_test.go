package collector

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/wire"
)

// TestPastEveryField fails when a recovery point of the past gets a field that its
// stored form forgets.
func TestPastEveryField(t *testing.T) {
	var want score.PastPoint
	v := reflect.ValueOf(&want).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int64:
			f.SetInt(1_700_000_000_000_000_000 + int64(i))
		case reflect.Uint32:
			f.SetUint(4_000_000_000 + uint64(i))
		case reflect.Bool:
			f.SetBool(true)
		default:
			t.Fatalf("field %s is of a kind this test does not know", v.Type().Field(i).Name)
		}
	}
	past := []score.PastPoint{want, {At: 1, Changed: -1}}
	seen := []holdfast.Observation{{Check: "s/d/c", Agent: "db1", Seq: 3, At: time.Unix(5, 0).UTC(), Received: time.Unix(6, 0).UTC(), Outcome: holdfast.OK}}
	b, err := encodeHistory(seen, past)
	if err != nil {
		t.Fatal(err)
	}
	list, got, err := decodeHistory("s/d/c", b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(past, got); diff != "" {
		t.Errorf("the past changes in the store (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(seen, list); diff != "" {
		t.Errorf("the history changes in the store (-want +got):\n%s", diff)
	}
	if _, _, err := decodeHistory("s/d/c", b[:len(b)-1]); err == nil {
		t.Error("a history that ends too early was read")
	}

	former, err := encodeHistory(seen, nil)
	if err != nil {
		t.Fatal(err)
	}
	former = former[:len(former)-1] // form 1 ended here
	former[0] = 1
	if list, got, err = decodeHistory("s/d/c", former); err != nil || len(got) != 0 {
		t.Errorf("form 1: got %d points of the past, %v", len(got), err)
	}
	if diff := cmp.Diff(seen, list); diff != "" {
		t.Errorf("form 1 (-want +got):\n%s", diff)
	}
}

const nightly = `site: fra
---
service: archive
tier: 4
site: fra
host: files1
bia: {rto: 8h, rpo: 24h, reviewed: 2026-01-15}
data: {documents: {copies: {nightly: {keep: 30d, probe: restic.repository, on: db1, every: 1h, timeout: 1m}}}}
paths: {restore: {covers: [data-corruption], from: [documents/nightly]}}
`

// Our own record of recovery points survives: a collector that starts anew every
// night, whose store refuses every report once, says of the last night what one says
// that never stopped, and an observation never shows more than five points.
func TestRecoveryPointsOfThePast(t *testing.T) {
	k, err := catalog.Parse(map[string][]byte{"catalog.yaml": []byte(nightly)}, catalog.Options{Costs: score.Codes()})
	if err != nil {
		t.Fatal(err)
	}
	model := score.NewModel(k)
	a := assignment("v1", "archive/documents/nightly")
	nights := func(eachNight func(w *intakeWorld, report func())) []holdfast.Finding {
		w := newIntakeWorld(t, t.TempDir())
		defer func() { w.close() }()
		first := w.now
		for night := range 20 {
			w.now = first.AddDate(0, 0, night)
			o := holdfast.Observation{Outcome: holdfast.OK, At: w.now}
			for n := night; n >= max(0, night-3); n-- {
				size := holdfast.Bytes(100+n) << 30 // the median tells which nights are known
				if n == 19 {
					size = 10 << 30
				}
				o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: first.AddDate(0, 0, n).Add(-time.Hour), Bytes: size})
			}
			if night > 3 && night < 19 { // in the last night all older ones are gone
				o.RecoveryPoints = append(o.RecoveryPoints, holdfast.RecoveryPoint{Time: first.Add(-time.Hour), Bytes: 100 << 30})
			}
			m, err := wire.FromResult(&o)
			if err != nil {
				t.Fatal(err)
			}
			order := uint64(night) + 1
			eachNight(w, func() {
				r := wire.Report{Seq: order, Sent: w.now.UnixNano(), Results: []wire.Result{{Order: order, At: w.now.UnixNano(), Digest: m.GetDigest(), Body: m.GetBody()}}}
				w.in.take(t.Context(), []*ingest.Report{ingest.NewReport(r, "db1", 1, w.now, a, func(error) {})})
			})
		}
		p := model.JudgeService(w.in.estate.facts, "archive", w.now.Add(time.Minute))
		return slices.DeleteFunc(p.Findings, func(f holdfast.Finding) bool { return f.Code != "copy-shrunk" && f.Code != "kept-too-short" })
	}
	want := nights(func(_ *intakeWorld, report func()) { report() })
	if len(want) != 2 {
		t.Fatalf("got %+v, want a point that shrank and points that vanished", want)
	}
	got := nights(func(w *intakeWorld, report func()) {
		w.store.refuse = store.ErrFull
		report()
		w.store.refuse = nil
		report()
		w.restart()
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings of a collector that starts anew every night (-want +got):\n%s", diff)
	}
}
