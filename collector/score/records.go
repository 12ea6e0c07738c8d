package score

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-monitor/holdfast"
)

// records keeps records by what they are about, each list oldest first.
type records struct {
	exercises    map[string][]holdfast.Record // by service
	changes      map[string][]holdfast.Record // by service
	biaReviews   map[string][]holdfast.Record // by service
	planReviews  map[string][]holdfast.Record // by plan
	training     map[string][]holdfast.Record // by team
	attestations map[string][]holdfast.Record // by need
	acceptances  map[string][]holdfast.Record // by need
	maintenance  []holdfast.Record
}

func newRecords() records {
	return records{
		exercises:    map[string][]holdfast.Record{},
		changes:      map[string][]holdfast.Record{},
		biaReviews:   map[string][]holdfast.Record{},
		planReviews:  map[string][]holdfast.Record{},
		training:     map[string][]holdfast.Record{},
		attestations: map[string][]holdfast.Record{},
		acceptances:  map[string][]holdfast.Record{},
	}
}

// Record takes a record in. One dated after its receipt is refused, as is a kind
// that judgement does not read; the answer says whether it was taken.
func (f *Facts) Record(r holdfast.Record) bool {
	r.At, r.Received = r.At.UTC(), r.Received.UTC()
	if r.Received.IsZero() {
		r.Received = r.At
	}
	if r.At.After(r.Received) {
		return false
	}
	k := &f.records
	switch r.Kind {
	case holdfast.Exercise:
		put(k.exercises, r.Service, r)
	case holdfast.Change:
		put(k.changes, r.Service, r)
	case holdfast.Review:
		if r.Plan != "" {
			put(k.planReviews, r.Plan, r)
		} else {
			put(k.biaReviews, r.Service, r)
		}
	case holdfast.Training:
		put(k.training, r.Team, r)
	case holdfast.Attestation:
		put(k.attestations, r.Need, r)
	case holdfast.Acceptance:
		put(k.acceptances, r.Need, r)
	case holdfast.Maintenance:
		k.maintenance = placeRecord(k.maintenance, r)
	default:
		return false
	}
	return true
}

func put(m map[string][]holdfast.Record, key string, r holdfast.Record) {
	m[key] = placeRecord(m[key], r)
}

// placeRecord keeps the list in the order of receipt; a duplicate changes nothing.
func placeRecord(list []holdfast.Record, r holdfast.Record) []holdfast.Record {
	i, found := slices.BinarySearchFunc(list, r, compareRecords)
	if found {
		return list
	}
	return slices.Insert(list, i, r)
}

// compareRecords orders records by receipt, the worse of one instant last, so that
// the order in which they came never matters.
func compareRecords(a, b holdfast.Record) int {
	return cmp.Or(
		a.Received.Compare(b.Received),
		a.At.Compare(b.At),
		cmp.Compare(badness(a.Outcome), badness(b.Outcome)),
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Scenario, b.Scenario),
		cmp.Compare(a.Plan, b.Plan),
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Team, b.Team),
		slices.Compare(a.People, b.People),
		cmp.Compare(a.Site, b.Site),
		cmp.Compare(a.Host, b.Host),
		cmp.Compare(a.Need, b.Need),
		a.Until.Compare(b.Until),
		a.Started.Compare(b.Started),
		cmp.Compare(a.Duration, b.Duration),
		b.Point.Compare(a.Point),
		cmp.Compare(a.Bytes, b.Bytes),
		compareBool(a.Editorial, b.Editorial),
		compareBool(a.Substantive, b.Substantive),
		compareBool(a.Data, b.Data),
		cmp.Compare(a.By, b.By),
		cmp.Compare(a.Approver, b.Approver),
		cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.Note, b.Note),
	)
}

func compareChanges(a, b holdfast.TermChange) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Term, b.Term),
		cmp.Compare(a.Was, b.Was), cmp.Compare(a.Is, b.Is), cmp.Compare(a.By, b.By))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Touched returns the services a record concerns, to be judged again.
func (m *Model) Touched(r holdfast.Record) []string {
	var touched []int
	for i := range m.services {
		if m.services[i].readsRecord(&r) {
			touched = append(touched, i)
		}
	}
	return m.names(m.withConsumers(touched))
}

// readsRecord reports whether the record may bear on the service itself.
func (s *service) readsRecord(r *holdfast.Record) bool {
	switch r.Kind {
	case holdfast.Exercise, holdfast.Change:
		return s.called(r.Service)
	case holdfast.Review:
		return r.Plan == "" && s.called(r.Service) || r.Plan != "" && s.namesPlan(r.Plan)
	case holdfast.Training:
		return s.namesTeam(r.Team)
	case holdfast.Attestation:
		return s.attested[r.Need]
	case holdfast.Acceptance:
		return s.called(r.Service) || r.Service == ""
	case holdfast.Maintenance:
		return s.maintained(r)
	}
	return false
}

// known cuts a list of records, oldest receipt first, to what was received by at.
func known(list []holdfast.Record, at time.Time) []holdfast.Record {
	if n := len(list); n == 0 || !list[n-1].Received.After(at) {
		return list
	}
	n := 0
	for n < len(list) && !list[n].Received.After(at) {
		n++
	}
	return list[:n]
}
