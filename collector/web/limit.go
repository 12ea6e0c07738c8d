package web

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many logins of one address may fail: so many at once, then one more every
// so often.
const (
	failuresAtOnce = 10
	failureEvery   = 10 * time.Second
	limiterSize    = 4096 // addresses remembered
)

// limiter counts by remote address and forgets the oldest first.
type limiter struct {
	every  rate.Limit
	atOnce int

	mu   sync.Mutex
	by   map[netip.Prefix]*rate.Limiter // guarded by mu
	ring []netip.Prefix                 // guarded by mu: in the order they came
	next int                            // guarded by mu: whose place is taken next once the ring is full
}

// newLimiter counts logins that failed.
func newLimiter() *limiter { return newLimiterOf(rate.Every(failureEvery), failuresAtOnce) }

func newLimiterOf(every rate.Limit, atOnce int) *limiter {
	return &limiter{every: every, atOnce: atOnce, by: map[netip.Prefix]*rate.Limiter{}}
}

// blocked reports whether the address has failed too often of late.
func (l *limiter) blocked(remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.by[network(remote)]
	return r != nil && r.Tokens() < 1
}

// failed counts a failure.
func (l *limiter) failed(remote string) { l.allow(remote) }

// allow counts a request and reports whether it is not one too many.
func (l *limiter) allow(remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := network(remote)
	r := l.by[key]
	if r == nil {
		r = rate.NewLimiter(l.every, l.atOnce)
		l.by[key] = r
		if len(l.ring) < limiterSize {
			l.ring = append(l.ring, key)
		} else {
			delete(l.by, l.ring[l.next])
			l.ring[l.next] = key
			l.next = (l.next + 1) % limiterSize
		}
	}
	return r.Allow()
}

// network is the address, or the /64 an IPv6 host picks its addresses from.
func network(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits)
	return p
}
