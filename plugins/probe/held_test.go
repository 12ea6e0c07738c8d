package probe_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held probe.Held[int]
		calls, answer := 0, make(chan int)
		call := func() (int, error) {
			calls++
			return <-answer, nil
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := held.Do(ctx, "nfs", call); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while the call is held: got %v, want the deadline", err)
			}
			cancel()
		}
		if got, err := held.Do(t.Context(), "disk", func() (int, error) { return 1, nil }); got != 1 || err != nil {
			t.Errorf("another key: got %d, %v, want 1", got, err)
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if got, err := held.Do(t.Context(), "nfs", call); got != 7 || err != nil {
					t.Errorf("joined: got %d, %v, want 7", got, err)
				}
			})
		}
		synctest.Wait()
		answer <- 7
		waiting.Wait()
		if calls != 1 {
			t.Errorf("%d calls were made, want 1 that all shared", calls)
		}
		failure := errors.New("gone")
		if _, err := held.Do(t.Context(), "nfs", func() (int, error) { return 0, failure }); !errors.Is(err, failure) {
			t.Errorf("after it came back: got %v, want a new call's error", err)
		}
	})
}

func TestAnswerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, ctx := range []context.Context{t.Context(), check} {
			answer, stop := probe.AnswerTime(ctx)
			deadline, _ := answer.Deadline()
			if got := time.Until(deadline); got != 9*time.Second {
				t.Errorf("got %v, want 9s", got)
			}
			stop()
		}
	})
}
