package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// AlertSchema names the form of AlertResult.
const AlertSchema = "holdfast.bench-alert/v1"

// AlertOptions say how fast news travels, of what.
type AlertOptions struct {
	Program      string
	Data         string // folder for everything; created, and nothing may be in it
	Services     int    // of the catalogue, ten checks each
	Down         int    // of them need the same repository
	Agents       int
	Rounds       int    // every repository is damaged and mended so often; the third time within an hour the collector calls it flapping, and waits before it says that it is over
	Alertmanager string // URL of one that gets every notice, and counts as told once it has answered; empty: this process alone is told
	Progress     io.Writer
}

// Check says what cannot be measured.
func (o *AlertOptions) Check() error {
	var faults []error
	if o.Data == "" {
		faults = append(faults, errors.New("--data: name an empty folder"))
	}
	if o.Services < 10 || o.Services > 50_000 {
		faults = append(faults, fmt.Errorf("--services %d: 10 to 50000", o.Services))
	}
	if o.Down < 1 || o.Down > o.Services {
		faults = append(faults, fmt.Errorf("--down %d: 1 to --services", o.Down))
	}
	if o.Agents < 1 || o.Agents > o.Services {
		faults = append(faults, fmt.Errorf("--agents %d: 1 to --services", o.Agents))
	}
	if o.Rounds < 1 || o.Rounds > 2 {
		faults = append(faults, fmt.Errorf("--rounds %d: 1 or 2", o.Rounds))
	}
	return errors.Join(faults...)
}

// AlertResult is what was measured: times from a report's acknowledgement to the
// receipt of the alert it causes, and of that alert's end, in milliseconds.
type AlertResult struct {
	Schema   string  `json:"schema"`
	Services int     `json:"services"`
	Down     int     `json:"down"`
	Rounds   int     `json:"rounds"`
	P50      float64 `json:"firing_p50_ms"`
	P99      float64 `json:"firing_p99_ms"`
	Max      float64 `json:"firing_max_ms"`
	EndP50   float64 `json:"resolved_p50_ms"`
	EndP99   float64 `json:"resolved_p99_ms"`
	EndMax   float64 `json:"resolved_max_ms"`
	Effect   string  `json:"effect"`  // as the alert says it
	Notices  int     `json:"notices"` // of repositories, all of them
}

// RunAlert measures.
func RunAlert(ctx context.Context, o AlertOptions) (AlertResult, error) {
	r := AlertResult{Schema: AlertSchema, Services: o.Services, Down: o.Down, Rounds: o.Rounds}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	if list, err := os.ReadDir(o.Data); err != nil || len(list) > 0 {
		return r, errors.Join(err, fmt.Errorf("bench: %s is not empty", o.Data))
	}
	told, err := listen(o.Alertmanager)
	if err != nil {
		return r, err
	}
	defer told.close()
	routes := filepath.Join(o.Data, "alerts.yaml")
	if err := os.WriteFile(routes, fmt.Appendf(nil, "receivers: {bench: {alertmanager: {urls: [%q], allow_private: true}}}\nroutes: [{name: all, to: [bench]}]\n", told.url), 0o600); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	c := &process{program: o.Program, data: filepath.Join(o.Data, "collector"), catalog: filepath.Join(o.Data, "catalog"),
		log: filepath.Join(o.Data, "collector.log"), args: []string{"--alerts", routes}}
	shared := Options{Data: o.Data, Agents: o.Agents, Results: 50, Services: o.Services, Outstanding: 32, Burst: 4, Unchanged: true, Progress: o.Progress, vaults: o.Services / o.Down}
	shared.say("a catalogue of %d services; each of %d repositories is needed by %d of them", o.Services, shared.vaults, o.Down)
	if err := writeCatalogue(c.catalog, shared); err != nil {
		return r, err
	}
	if err := c.start(ctx); err != nil {
		return r, err
	}
	defer c.kill()
	crowd, err := join(ctx, shared, c)
	if err != nil {
		return r, err
	}
	defer crowd.close()
	if err := calm(ctx, shared, c, crowd, told); err != nil {
		return r, err
	}
	shared.say("%d rounds over all repositories", o.Rounds)
	var firing, resolved []time.Duration
	for i := range o.Rounds * shared.vaults {
		vault := vaultName(i % shared.vaults)
		for _, bad := range []bool{true, false} {
			at, err := crowd.agents[0].say(vaultCheck(vault), bad)
			if err != nil {
				return r, fmt.Errorf("bench: agent %s: %w", crowd.agents[0].name, err)
			}
			n, err := told.next(ctx, vault, bad)
			if err != nil {
				return r, err
			}
			if bad {
				firing, r.Effect = append(firing, n.at.Sub(at)), n.effect
			} else {
				resolved = append(resolved, n.at.Sub(at))
			}
		}
	}
	slices.Sort(firing)
	slices.Sort(resolved)
	r.P50, r.P99, r.Max = quantile(firing, 0.5), quantile(firing, 0.99), quantile(firing, 1)
	r.EndP50, r.EndP99, r.EndMax = quantile(resolved, 0.5), quantile(resolved, 0.99), quantile(resolved, 1)
	crowd.close()
	if err := c.stop(ctx); err != nil {
		return r, err
	}
	r.Notices = told.count
	return r, nil
}

// calmFor is for how many seconds on end the collector has to do next to nothing.
const calmFor = 4

// calm has every check report, and waits until all that follows is judged and told.
func calm(ctx context.Context, o Options, c *process, crowd *crowd, told *receiver) error {
	o.say("every check of every agent reports")
	err := crowd.each(ctx, o.workers(), func(_ context.Context, a *agentEnd) error {
		return a.burst((len(a.checks)+o.Results-1)/o.Results, &o)
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before time.Duration
	for quiet := 0; quiet < calmFor; quiet++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := c.cpu()
		if err != nil {
			return err
		}
		if now-before > time.Second/5 || time.Since(time.Unix(0, told.last.Load())) < time.Second {
			quiet = -1
		}
		before = now
	}
	return nil
}

// receiver is an Alertmanager as far as posting goes.
type receiver struct {
	url     string
	server  *http.Server
	forward string // URL of a real one; empty: none
	heard   chan notice
	last    atomic.Int64 // when anything was heard, in nanoseconds since 1970
	served  sync.WaitGroup
	count   int // of notices about repositories; written by next's caller
}

// notice is what was heard of a repository.
type notice struct {
	vault  string
	firing bool
	at     time.Time
	effect string
}

// listen starts a receiver.
func listen(forward string) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r := &receiver{url: "http://" + l.Addr().String(), heard: make(chan notice, 1000), forward: strings.TrimSuffix(forward, "/")}
	r.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(io.LimitReader(req.Body, 64<<20))
		if err == nil && r.forward != "" {
			err = r.pass(req.Context(), body)
		}
		var alerts []struct {
			EndsAt      time.Time         `json:"endsAt"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		}
		if err == nil {
			err = json.Unmarshal(body, &alerts)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		now := time.Now()
		r.last.Store(now.UnixNano())
		for _, a := range alerts {
			if strings.HasPrefix(a.Labels["service"], "vault-") && a.Labels["kind"] == "recovery-point-failed" {
				r.heard <- notice{vault: a.Labels["service"], firing: a.EndsAt.After(now), at: now, effect: a.Annotations["effect"]}
			}
		}
	})}
	r.served.Go(func() { _ = r.server.Serve(l) }) // until it is closed
	return r, nil
}

// pass hands what was posted to the real one.
func (r *receiver) pass(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.forward+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the Alertmanager answered %s", resp.Status)
	}
	return nil
}

// close ends the receiver and waits for it.
func (r *receiver) close() {
	_ = r.server.Close() // nobody waits for what is under way
	r.served.Wait()
}

// next waits for the alert of a repository to be told as firing, or as ended.
func (r *receiver) next(ctx context.Context, vault string, firing bool) (notice, error) {
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		select {
		case n := <-r.heard:
			r.count++
			if n.vault == vault && n.firing == firing {
				return n, nil
			}
		case <-timeout.C:
			return notice{}, fmt.Errorf("bench: nothing was told of %s within a minute (firing: %v)", vault, firing)
		case <-ctx.Done():
			return notice{}, ctx.Err()
		}
	}
}
