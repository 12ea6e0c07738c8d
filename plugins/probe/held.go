package probe

import (
	"context"
	"sync"
	"time"
)

// Held makes calls that the kernel may hold for ever and nothing can cancel, such
// as asking a network mount whose server is gone. Callers that ask the same at
// the same time share one call, so at most one is left behind for each key.
// The zero Held is ready.
type Held[T any] struct {
	mu    sync.Mutex
	calls map[string]*heldCall[T] // guarded by mu: those under way
}

type heldCall[T any] struct {
	done  chan struct{} // closed when value and err are set
	value T
	err   error
}

// Do returns what call returns, or the error of ctx where that ends first.
func (h *Held[T]) Do(ctx context.Context, key string, call func() (T, error)) (T, error) {
	c := h.join(key, call)
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (h *Held[T]) join(key string, call func() (T, error)) *heldCall[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.calls[key]; c != nil {
		return c
	}
	if h.calls == nil {
		h.calls = map[string]*heldCall[T]{}
	}
	c := &heldCall[T]{done: make(chan struct{})}
	h.calls[key] = c
	go func() { // owned by h; nobody can wait for it while the kernel holds it
		c.value, c.err = call()
		h.mu.Lock()
		delete(h.calls, key)
		h.mu.Unlock()
		close(c.done)
	}()
	return c
}

// AnswerTime is what a probe gives the thing it asks: nine tenths of the time
// left, so that the thing's silence (failed, timeout) can be told from the check
// itself running out of time (an error). Without a deadline it is 9 s.
func AnswerTime(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := 9 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline) * 9 / 10
	}
	return context.WithTimeout(ctx, limit)
}
