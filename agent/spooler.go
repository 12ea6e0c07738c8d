package agent

import (
	"encoding/json"
	"time"
)

// How results are gathered into one report: a result that says nothing new waits
// this long for company, so that a quiet agent writes to disk, and sends, once a
// second at most.
const (
	gatherFor     = time.Second
	gatherResults = 100       // as Spool says
	gatherBytes   = 256 << 10 // of JSON; a message of the wire holds 1 MiB
)

// appender is where gathered results go: *Outbox.
type appender interface {
	Says(Result) bool
	Append([]Result) error
}

// gather appends results to the spool, in reports of several, until the channel
// is closed. One that says something new goes at once, with those before it.
func gather(results <-chan Result, spool appender) {
	for {
		r, ok := <-results
		if !ok {
			return
		}
		batch, bytes, news := []Result{r}, jsonSize(r), spool.Says(r)
		wait := time.NewTimer(gatherFor)
		for !news && ok && len(batch) < gatherResults && bytes < gatherBytes {
			select {
			case r, ok = <-results:
				if ok {
					batch, bytes, news = append(batch, r), bytes+jsonSize(r), spool.Says(r)
				}
			case <-wait.C:
				news = true
			}
		}
		wait.Stop()
		// Results are kept whatever the error, and the spool has logged it.
		_ = spool.Append(batch)
	}
}

func jsonSize(r Result) int {
	text, _ := json.Marshal(r.Observation)
	return len(text)
}
