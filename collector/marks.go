package collector

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// marks decides which observations people will want to see again besides those
// that change an outcome: every test, and of a copy's recovery points the first of
// a day and each that ends a longer gap than any kept of that day. So a day has a
// few entries however often a copy is made, a day without any is a day without a
// new point, and the worst exposure of every day can be drawn. It is kept in
// memory: after a restart a copy has one entry more.
type marks map[string]mark

// mark is what is kept of a check.
type mark struct {
	day                         int64 // of worst, days since 1970 UTC
	worst                       time.Duration
	point, verified, restoredAt int64 // newest kept, ns
}

// worth is how much longer than the longest of the day a gap must be to be kept.
func worth(gap, worst time.Duration) bool { return gap > worst+worst/4+time.Minute }

// note reports whether an observation is to be kept, and takes in that it is.
func (m marks) note(o *holdfast.Observation) bool {
	if len(o.RecoveryPoints) == 0 && o.Verification == nil && o.Restoration == nil && o.Replication == nil {
		return false
	}
	k := m[o.Check]
	was := k
	if v := o.Verification; v != nil {
		k.verified = max(k.verified, v.Time.UnixNano())
	}
	if r := o.Restoration; r != nil {
		k.restoredAt = max(k.restoredAt, r.Started.UnixNano())
	}
	tested := k.verified != was.verified || k.restoredAt != was.restoredAt
	point, gap, ok := pointIn(o)
	if ok && point.UnixNano() > k.point {
		if day := o.Received.Unix() / 86400; day != k.day || worth(gap, k.worst) {
			if day != k.day {
				k.day, k.worst = day, 0
			}
			k.point, k.worst = point.UnixNano(), max(k.worst, gap)
		}
	}
	if k != was {
		m[o.Check] = k
	}
	return tested || k.point != was.point
}

// pointIn returns the newest recovery point that an observation attests, and how
// old the one before had become when it was seen; a replica's is as old as its lag.
func pointIn(o *holdfast.Observation) (point time.Time, gap time.Duration, ok bool) {
	switch r := o.Replication; {
	case len(o.RecoveryPoints) > 1:
		return o.RecoveryPoints[0].Time, max(0, o.Received.Sub(o.RecoveryPoints[1].Time)), true
	case len(o.RecoveryPoints) == 1:
		return o.RecoveryPoints[0].Time, 0, true
	case r != nil && r.PrimarySeen:
		return o.At.Add(-r.Lag.Std()), max(0, r.Lag.Std()), true
	}
	return time.Time{}, 0, false
}
