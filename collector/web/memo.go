package web

import (
	"sync"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// memo keeps what was worked out of all postures until something changes: many
// people look at a page of 10,000 services, and only the first of a revision waits.
// What it returns is shared and never written to.
type memo[T any] struct {
	mu        sync.Mutex // held while working it out: who comes meanwhile waits for the same
	filled    bool
	revision  uint64
	catalogue *holdfast.Catalogue
	value     T
}

// get returns the value for the revision of now, by making it where there is none.
func (m *memo[T]) get(c Collector, make func() T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	revision, catalogue := c.Revision(), c.Catalogue() // before what is read for it
	if !m.filled || m.revision != revision || m.catalogue != catalogue {
		m.value, m.filled, m.revision, m.catalogue = make(), true, revision, catalogue
	}
	return m.value
}

// datasets are those of every service, as of the revision of now.
func (s *server) datasets() []ProtectedDataset {
	return s.protected.get(s.c, func() []ProtectedDataset { return datasets(s.c.Postures(), s.c.Catalogue()) })
}

// recovery are the paths of every service, and what holds them back.
type recovery struct {
	postures        []holdfast.Posture
	services        []*holdfast.Posture
	paths           []RecoveryPath
	needs           []BreakingNeed
	untested, stale []proofGap
}

// recovery works the paths out, as of the revision of now.
func (s *server) recovery() *recovery {
	return s.walked.get(s.c, func() *recovery {
		r := &recovery{postures: s.c.Postures()}
		for i := range r.postures {
			r.services = append(r.services, &r.postures[i])
		}
		r.paths = recoveryPaths(r.postures)
		r.needs = breakingNeeds(r.services, s.c.Catalogue(), s.c, "")
		r.untested, r.stale = proofGaps(r.services, "")
		return r
	})
}
