package collector

import "sync"

// topic tells any number of listeners that something changed. A slow listener
// misses none: notices it has not taken yet fold into one.
type topic struct {
	mu        sync.Mutex
	listeners map[chan struct{}]bool // guarded by mu
}

func newTopic() *topic { return &topic{listeners: map[chan struct{}]bool{}} }

// publish tells every listener.
func (t *topic) publish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.listeners {
		select {
		case l <- struct{}{}:
		default:
		}
	}
}

// listen returns a channel that gets a value after every change, and a function
// that ends it.
func (t *topic) listen() (changed <-chan struct{}, stop func()) {
	l := make(chan struct{}, 1)
	t.mu.Lock()
	t.listeners[l] = true
	t.mu.Unlock()
	return l, func() {
		t.mu.Lock()
		delete(t.listeners, l)
		t.mu.Unlock()
	}
}
