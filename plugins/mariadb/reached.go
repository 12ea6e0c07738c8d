package mariadb

import (
	"sync"
	"time"
)

// reached remembers positions a primary was seen at, so that a replica that is
// behind can be dated: its data is at least as of the newest it has reached.
type reached struct {
	mu   sync.Mutex
	seen map[string][]moment // by replica, oldest first; guarded by mu
}

type moment struct {
	at       time.Time
	position position
}

// Bounds of what is remembered; an hour at an observation every 15 s.
const (
	replicasMax = 64
	momentsMax  = 240
)

// note adds the primary's position at a time and returns how long ago the primary
// was last seen at a position that the replica has reached: 0 where that is this
// one, the age of the oldest remembered where none is.
func (r *reached) note(key string, at time.Time, primary, replica position) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= replicasMax && r.seen[key] == nil {
		r.seen = map[string][]moment{}
	}
	all := append(r.seen[key], moment{at, primary})
	last := 0
	for i, m := range all {
		if m.position.beyond(replica) == 0 {
			last = i
		}
	}
	lag := at.Sub(all[last].at)
	all = all[last:] // what lies before it says nothing any more
	if len(all) > momentsMax {
		all = append(all[:1:1], all[len(all)-momentsMax+1:]...)
	}
	r.seen[key] = all
	return lag
}
