package borg_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestRepositoryGood(t *testing.T) {
	t.Parallel()
	r := newRepoWithTwo(t)
	before := r.tree(t)
	o, err := r.observe(t, "borg.repository", map[string]any{"archives": "ledger-*"})
	expect(t, o, err, holdfast.OK, "")
	if len(o.RecoveryPoints) != 2 {
		t.Fatalf("got %+v, want two", o.RecoveryPoints)
	}
	new, old := o.RecoveryPoints[0], o.RecoveryPoints[1]
	if !new.Time.Equal(secondTime) || !old.Time.Equal(firstTime) {
		t.Errorf("got %v and %v, want %v and %v, whatever the zone of the backup", new.Time, old.Time, secondTime, firstTime)
	}
	if new.Bytes != sourceBytes+100_000 || new.Files != 6 || old.Bytes != 0 {
		t.Errorf("got %+v, want the newest's %d bytes in 6 files", o.RecoveryPoints, sourceBytes+100_000)
	}
	if o.Verification != nil {
		t.Error("borg.repository claims a verification")
	}
	if o.Encrypted == nil || !*o.Encrypted || o.Immutable != nil {
		t.Errorf("got encrypted %v, immutable %v, want true and unknown", o.Encrypted, o.Immutable)
	}
	if diff := cmp.Diff(before, r.tree(t)); diff != "" {
		t.Errorf("the repository changed (-before +after):\n%s", diff)
	}
}

func TestX(t *testing.T) {
	r := newRepoWithTwo(t)
	start := time.Now()
	for _, n := range names {
		more := map[string]any{}
		if n == "borg.check" {
			more["verify_data"] = true
		}
		o, err := r.once(t, n, more)
		t.Logf("%s %v %+v %v", n, time.Since(start), o, err)
	}
	t.Log(r.last(t), puts(t, r.segment(r.last(t)-3)))
}
