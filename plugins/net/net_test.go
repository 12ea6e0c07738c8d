package net_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	probes "github.com/holdfast-monitor/holdfast/plugins/net"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

// patience is how long what is asked has in tests of silence.
const patience = 2 * time.Second

// find returns the probe of a name among those given.
func find(t *testing.T, all []probe.Probe, name string) probe.Probe {
	t.Helper()
	for _, p := range all {
		if p.Describe().Name == name {
			return p
		}
	}
	t.Fatalf("no probe is named %q", name)
	return nil
}

// request writes settings from pairs of key and value.
func request(t *testing.T, pairs ...any) probe.Request {
	t.Helper()
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return probe.Request{Settings: holdfast.Settings(b)}
}

// observe asks the probe of a name and fails the test where it could not tell.
func observe(t *testing.T, name string, pairs ...any) probe.Observation {
	t.Helper()
	o, err := find(t, probes.Probes(), name).Observe(t.Context(), request(t, pairs...))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o
}

// observeBriefly is observe with little time.
func observeBriefly(t *testing.T, name string, pairs ...any) probe.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o, err := find(t, probes.Probes(), name).Observe(ctx, request(t, pairs...))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s answered after its deadline", name)
	}
	return o
}

// wantOutcome compares outcome and reason, and looks for words in the summary.
func wantOutcome(t *testing.T, o probe.Observation, outcome holdfast.Outcome, reason holdfast.Reason, words ...string) {
	t.Helper()
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q (%s), want %s %q", o.Outcome, o.Reason, o.Summary, outcome, reason)
	}
	for _, w := range words {
		if !strings.Contains(o.Summary, w) {
			t.Errorf("summary is %q, want it to say %q", o.Summary, w)
		}
	}
}

// measure returns the value of a measure.
func measure(t *testing.T, o probe.Observation, name string) float64 {
	t.Helper()
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no measure %q among %v", name, o.Measures)
	return 0
}

// serve answers every connection of a new listener with a function; the
// connection stays open until the test ends.
func serve(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		defer func() {
			for _, c := range open {
				c.Close()
			}
		}()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			go answer(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// silent accepts and never answers.
func silent(t *testing.T) string { return serve(t, func(net.Conn) {}) }

// closed is an address nobody listens at.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestContract(t *testing.T) {
	listening, deaf := closed(t), closed(t)
	server := nameServer(t, zone)
	requests := map[string][]probe.Request{
		"net.tcp":  {request(t, "address", listening), request(t, "address", "127.0.0.1:1")},
		"net.http": {request(t, "url", "http://"+deaf), request(t, "url", "https://"+deaf+"/x?y", "status", []int{200, 204}, "body", "a|b", "latency", "1s", "redirects", 5), request(t, "url", "http://"+deaf, "status", 404)},
		"net.tls":  {request(t, "address", deaf, "server_name", "pay.example")},
		"net.dns":  {request(t, "name", "pay.example", "server", server, "expect", "192.0.2.1"), request(t, "name", "none.example", "server", server, "type", "mx", "expect", []string{"a", "b"})},
	}
	for _, p := range probes.Probes() {
		name := p.Describe().Name
		t.Run(name, func(t *testing.T) {
			if len(requests[name]) == 0 {
				t.Fatal("no requests for this probe")
			}
			probetest.Run(t, p, requests[name]...)
			if !p.Describe().Privileges.Safe() {
				t.Error("not safe, want every probe of this package to need no privilege")
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings holdfast.Settings
		want     string
	}{
		{"net.tcp", `{}`, `setting "address" is required`},
		{"net.tcp", `{"address":"db1"}`, `"db1" is not HOST:PORT: write it like db1.example:5432`},
		{"net.tcp", `{"address":":80"}`, `is not HOST:PORT`},
		{"net.tcp", `{"address":"db1:70000"}`, `is not HOST:PORT`},
		{"net.tcp", `{"address":"db1:80","adress":1}`, `did you mean "address"?`},
		{"net.http", `{"url":"pay.example"}`, `is not an http or https address`},
		{"net.http", `{"url":"file:///etc/passwd"}`, `is not an http or https address`},
		{"net.http", `{"url":"http://user:hunter2@pay.example"}`, `the catalogue keeps no secrets`},
		{"net.http", `{"url":"http://pay.example/%zz"}`, `setting "url": not an address`},
		{"net.http", `{"url":"http://pay.example","body":"("}`, `setting "body": error parsing regexp`},
		{"net.http", `{"url":"http://pay.example","redirects":6}`, `6 is not between 0 and 5`},
		{"net.http", `{"url":"http://pay.example","status":20}`, `not between 100 and 599`},
		{"net.http", `{"url":"http://pay.example","status":"ok"}`, `setting "status"`},
		{"net.http", `{"url":"http://pay.example","latency":"-1s"}`, `setting "latency": cannot be below 0`},
		{"net.http", `{"url":"http://pay.example","ca_file":"ca.pem"}`, `"ca.pem" is relative`},
		{"net.tls", `{"address":"pay.example"}`, `is not HOST:PORT`},
		{"net.dns", `{"name":""}`, `setting "name": "" is not a name`},
		{"net.dns", `{"name":"pay.example","type":"ANY"}`, `"ANY" is not a type to look up`},
		{"net.dns", `{"name":"pay.example","type":"XYZ"}`, `"XYZ" is not a type to look up`},
		{"net.dns", `{"name":"pay.example","expect":7}`, `setting "expect"`},
	} {
		_, err := find(t, probes.Probes(), c.name).Observe(t.Context(), probe.Request{Settings: c.settings})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want an error with %q", c.name, c.settings, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s %s: the error shows the password: %v", c.name, c.settings, err)
		}
	}
}

func TestTCP(t *testing.T) {
	address := silent(t)
	o := observe(t, "net.tcp", "address", address)
	wantOutcome(t, o, holdfast.OK, "", address)
	if got := measure(t, o, "connect_seconds"); got <= 0 || got > 5 {
		t.Errorf("connect_seconds is %v, want a short time", got)
	}
	if got := o.Facts["remote"]; got != address {
		t.Errorf("remote: got %q, want %q", got, address)
	}
	wantOutcome(t, observe(t, "net.tcp", "address", closed(t)), holdfast.Failed, holdfast.Unreachable, "connection refused")
}

// TestTCPFull connects to a listener whose queue is full, so that the kernel
// answers nothing.
func TestTCPFull(t *testing.T) {
	address := fullListener(t)
	wantOutcome(t, observeBriefly(t, "net.tcp", "address", address), holdfast.Failed, holdfast.Timeout, "does not answer in time")
}

// TestLookup tells a host that does not exist from a resolver that does not work.
func TestLookup(t *testing.T) {
	working, broken := nameServer(t, zone), nameServer(t, nil)
	through := func(server string) []probe.Probe {
		return probes.ProbesWith(&net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}})
	}
	for _, c := range []struct {
		name   string
		pairs  []any
		absent []any
	}{
		{"net.tcp", []any{"address", "pay.example.:1"}, []any{"address", "none.example.:1"}},
		{"net.tls", []any{"address", "pay.example.:1"}, []any{"address", "none.example.:1"}},
		{"net.http", []any{"url", "http://pay.example.:1"}, []any{"url", "http://none.example.:1"}},
		{"net.dns", []any{"name", "x", "server", "pay.example.:1"}, []any{"name", "x", "server", "none.example.:1"}},
	} {
		o, err := find(t, through(working), c.name).Observe(t.Context(), request(t, c.absent...))
		if err != nil {
			t.Errorf("%s, no such host: %v", c.name, err)
		}
		wantOutcome(t, o, holdfast.Failed, holdfast.Missing, `there is no host "none.example."`)

		_, err = find(t, through(broken), c.name).Observe(t.Context(), request(t, c.pairs...))
		if got := probe.ReasonOf(err); got != holdfast.Unreachable {
			t.Errorf("%s, broken resolver: got reason %q (%v), want unreachable", c.name, got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = find(t, through(mute(t)), c.name).Observe(ctx, request(t, c.pairs...))
		cancel()
		if got := probe.ReasonOf(err); got != holdfast.Timeout {
			t.Errorf("%s, silent resolver: got reason %q (%v), want timeout", c.name, got, err)
		}
	}
}

// TestCancelled checks that a check taken back in the middle could not tell.
func TestCancelled(t *testing.T) {
	reached := make(chan struct{}, 8)
	address := serve(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 1)) // the client has begun to speak
		reached <- struct{}{}
	})
	for name, r := range map[string]probe.Request{
		"net.tls":  request(t, "address", address),
		"net.http": request(t, "url", "http://"+address),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-reached
			cancel()
		}()
		_, err := find(t, probes.Probes(), name).Observe(ctx, r)
		if got := probe.ReasonOf(err); got != holdfast.Timeout {
			t.Errorf("%s: got reason %q (%v), want timeout", name, got, err)
		}
		cancel()
	}
}
