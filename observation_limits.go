package holdfast

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// What an observation may hold. Whoever takes one from another process checks it
// with Validate first.
const (
	MaxRecoveryPoints = 5    // the newest four and the oldest kept
	MaxMeasures       = 256  //
	MaxFacts          = 256  // in Facts, and in Fingerprint
	MaxText           = 1024 // bytes of a summary or of one fact
	MaxName           = 256  // bytes of a name, ID or unit
	MaxRaw            = 4096 // bytes of the tool's own words
)

// Validate reports the first thing that no probe can have seen: an outcome or
// reason outside the lists, a number that is none, a share outside 0–1, a
// negative amount, more parts or longer texts than allowed.
func (o *Observation) Validate() error {
	if !slices.Contains(Outcomes, o.Outcome) {
		return fmt.Errorf("outcome %.40q is none of %q", o.Outcome, Outcomes)
	}
	if o.Reason != "" && !slices.Contains(Reasons, o.Reason) {
		return fmt.Errorf("reason %.40q is not in the list", o.Reason)
	}
	if err := validText("summary", o.Summary, MaxText); err != nil {
		return err
	}
	if err := validText("raw", o.Raw, MaxRaw); err != nil {
		return err
	}
	if err := validText("credential", o.Credential, MaxName); err != nil {
		return err
	}
	if err := o.validParts(); err != nil {
		return err
	}
	if err := validMeasures(o.Measures); err != nil {
		return err
	}
	if err := validFacts("fingerprint", o.Fingerprint); err != nil {
		return err
	}
	return validFacts("facts", o.Facts)
}

func (o *Observation) validParts() error {
	if n := len(o.RecoveryPoints); n > MaxRecoveryPoints {
		return fmt.Errorf("%d recovery points, at most %d are kept", n, MaxRecoveryPoints)
	}
	for i, p := range o.RecoveryPoints {
		switch {
		case p.Time.IsZero():
			return fmt.Errorf("recovery point %d has no time", i+1)
		case i > 0 && p.Time.After(o.RecoveryPoints[i-1].Time):
			return fmt.Errorf("recovery point %d is newer than the one before it; the newest comes first", i+1)
		case p.Bytes < 0 || p.Files < 0:
			return fmt.Errorf("recovery point %d has a negative size", i+1)
		case p.Changed != nil && *p.Changed < 0:
			return fmt.Errorf("recovery point %d has changed by less than nothing", i+1)
		}
		if err := validText("recovery point's id", p.ID, MaxName); err != nil {
			return err
		}
	}
	if v := o.Verification; v != nil {
		if v.Time.IsZero() || !share(v.Scope) || v.Errors < 0 {
			return fmt.Errorf("verification %+v: want a time, a scope from 0 to 1 and no negative count", *v)
		}
	}
	if r := o.Restoration; r != nil {
		if r.Started.IsZero() || !share(r.Coverage) || r.Duration < 0 || r.Bytes < 0 || r.Files < 0 || r.Checks < 0 {
			return fmt.Errorf("restoration %+v: want a start, a coverage from 0 to 1 and nothing negative", *r)
		}
		for _, name := range []string{r.Copy, r.Site} {
			if err := validText("restoration's copy or site", name, MaxName); err != nil {
				return err
			}
		}
	}
	if r := o.Replication; r != nil && (r.Lag < 0 || r.Bytes < 0) {
		return fmt.Errorf("replication is behind by less than nothing: %+v", *r)
	}
	if c := o.Capacity; c != nil && (c.Needed < 0 || c.Free < 0) {
		return fmt.Errorf("capacity is less than nothing: %+v", *c)
	}
	return nil
}

func validMeasures(measures []Measure) error {
	if n := len(measures); n > MaxMeasures {
		return fmt.Errorf("%d measures, at most %d are kept", n, MaxMeasures)
	}
	for _, m := range measures {
		if m.Name == "" {
			return fmt.Errorf("a measure has no name")
		}
		if err := validText("measure's name", m.Name, MaxName); err != nil {
			return err
		}
		if err := validText("measure's unit", m.Unit, MaxName); err != nil {
			return err
		}
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			return fmt.Errorf("measure %q is %v, want a finite number", m.Name, m.Value)
		}
	}
	return nil
}

func validFacts(what string, facts map[string]string) error {
	if n := len(facts); n > MaxFacts {
		return fmt.Errorf("%s has %d entries, at most %d are kept", what, n, MaxFacts)
	}
	for k, v := range facts {
		if err := validText(what+"'s name", k, MaxName); err != nil {
			return err
		}
		if err := validText(what+" "+k, v, MaxText); err != nil {
			return err
		}
	}
	return nil
}

func validText(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are kept", what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not UTF-8 text", what)
	}
	return nil
}

// share reports whether f is a share of a whole.
func share(f float64) bool { return f >= 0 && f <= 1 }
