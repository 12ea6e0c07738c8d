package ingest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// core is the rest of the collector in a test: it counts reports as the real one
// does and keeps what it got. Its answers can be held back or replaced.
type core struct {
	mu       sync.Mutex
	progress map[string]holdfast.Progress
	assigned *holdfast.Assignment
	answer   func(*ingest.Report) (answered bool) // nil: every report is durable at once
	got      []observation
	states   chan holdfast.AgentState
	news     chan observation
	runs     chan told
	found    chan found
}

// told is word of a run.
type told struct {
	agent string
	run   holdfast.Running
}

// found is word of databases.
type found struct {
	agent string
	holdfast.Found
}

// observation is one result as it was applied.
type observation struct {
	Report  uint64 // its sequence number
	Backlog bool
	holdfast.Observation
}

func newCore(checks ...string) *core {
	c := &core{progress: map[string]holdfast.Progress{}, states: make(chan holdfast.AgentState, 1000), news: make(chan observation, 10000), runs: make(chan told, 100), found: make(chan found, 100)}
	c.assign("v1", checks...)
	return c
}

func (c *core) assign(version string, checks ...string) {
	a := &holdfast.Assignment{Version: version}
	for _, id := range checks {
		a.Checks = append(a.Checks, holdfast.Check{ID: id, Probe: "host.disk", Every: holdfast.Duration(time.Minute), Timeout: holdfast.Duration(time.Second)})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assigned = a
}

func (c *core) Progress(agent string) holdfast.Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress[agent]
}

func (c *core) Assignment(string) *holdfast.Assignment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.assigned
}

func (c *core) Agent(s holdfast.AgentState) { c.states <- s }

func (c *core) Running(agent string, r holdfast.Running) { c.runs <- told{agent, r} }

func (c *core) Found(agent string, f holdfast.Found) { c.found <- found{agent, f} }

func (c *core) Accept(r *ingest.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil && c.answer(r) {
		return
	}
	r.Done(c.apply(r))
}

// apply settles a report; the caller holds mu.
func (c *core) apply(r *ingest.Report) error {
	next, news, err := r.Settle(c.progress[r.Agent])
	if err != nil || !news {
		return err
	}
	var all []observation
	for i := range r.Results {
		if r.Results[i].Body == nil {
			old := slices.IndexFunc(c.got, func(o observation) bool { return o.Check == r.Assigned.Checks[r.Results[i].Check].ID })
			if old < 0 {
				return ingest.ErrResend
			}
			o := c.got[old].Observation
			if err := r.Update(i, &o); err != nil {
				return err
			}
			all = append(all, observation{r.Seq, r.Backlog, o})
			continue
		}
		o, err := r.Observation(i)
		if err != nil {
			return err
		}
		all = append(all, observation{r.Seq, r.Backlog, o})
	}
	c.progress[r.Agent] = next
	c.got = append(c.got, all...)
	for _, o := range all {
		c.news <- o
	}
	return nil
}

// state waits until the core is told of a state that fits.
func (c *core) state(t testing.TB, what string, fits func(holdfast.AgentState) bool) holdfast.AgentState {
	t.Helper()
	for timeout := time.After(2 * time.Minute); ; {
		select {
		case s := <-c.states:
			if fits(s) {
				return s
			}
		case <-timeout:
			t.Fatalf("the core was not told within 2 min: %s", what)
		}
	}
}

// collector is a server on loopback over a real store.
type collector struct {
	*ingest.Server
	core    *core
	store   *bolt.Store
	address string
	data    string
}

func start(t testing.TB, c *core, change ...func(*ingest.Config)) *collector {
	t.Helper()
	data := t.TempDir()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	store, err := bolt.Open(filepath.Join(data, "store"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config := ingest.Config{Data: data, Identities: store, Core: c, Log: log, CertificateLife: time.Hour}
	for _, f := range change {
		f(&config)
	}
	s, err := ingest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return &collector{Server: s, core: c, store: store, address: l.Addr().String(), data: data}
}

// authority reads the collector's own key and certificate, to forge with.
func (c *collector) authority(t testing.TB) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.data, ingest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	key, rest := pem.Decode(data)
	cert, _ := pem.Decode(rest)
	k, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(cert.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return ca, k.(crypto.Signer)
}

// host is an agent's end as a test drives it, message by message.
type host struct {
	c    *collector
	name string
	key  crypto.Signer
	cert []byte // DER; nil: shows none
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csrOf(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// join enrols a new host.
func (c *collector) join(t testing.TB, name string) *host {
	t.Helper()
	token, err := c.Token(t.Context(), name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{c: c, name: name, key: newKey(t)}
	m, err := h.client(t).Enroll(t.Context(), &wirepb.EnrollRequest{Token: token, Csr: csrOf(t, h.key)})
	if err != nil {
		t.Fatal(err)
	}
	h.cert = m.Certificate
	return h
}

func (h *host) tls(t testing.TB) *tls.Config {
	ca, _ := h.c.authority(t)
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: wire.ServerName, MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(ca)
	if h.cert != nil {
		mine := &tls.Certificate{Certificate: [][]byte{h.cert}, PrivateKey: h.key}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return mine, nil }
	}
	return config
}

func (h *host) conn(t testing.TB, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+h.c.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *host) client(t testing.TB) wirepb.AgentsClient {
	t.Helper()
	return wirepb.NewAgentsClient(h.conn(t, h.tls(t)))
}

// talk is a session driven by hand.
type talk struct {
	wirepb.Agents_SessionClient
	t     testing.TB
	seq   uint64
	close context.CancelFunc
}

// hello opens a session and returns the collector's first answer, or the error.
func (h *host) hello(t testing.TB, hello *wirepb.Hello) (*talk, *wirepb.Welcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	stream, err := h.client(t).Session(ctx)
	if err != nil {
		return nil, nil, err
	}
	k := &talk{stream, t, 0, cancel}
	if hello.WireVersion == 0 {
		hello.WireVersion = wire.Version
	}
	k.up(&wirepb.Up{Message: &wirepb.Up_Hello{Hello: hello}})
	m, err := stream.Recv()
	return k, m.GetWelcome(), err
}

// session opens a session of the present assignment whose clock agrees with the
// collector's.
func (h *host) session(t testing.TB, machine string) *talk {
	t.Helper()
	k, w, err := h.hello(t, &wirepb.Hello{Version: "test", Hostname: "host-" + machine, Machine: machine, Epoch: 1, Assignment: h.c.core.Assignment("").Version})
	if err != nil {
		t.Fatal(err)
	}
	if w == nil {
		t.Fatal("no Welcome")
	}
	k.pong(w.Now, 0)
	return k
}

func (k *talk) up(m *wirepb.Up) {
	k.t.Helper()
	_ = k.Send(m) // a stream that has ended says why to Recv
}

func (k *talk) pong(echo int64, skew time.Duration) {
	k.t.Helper()
	k.up(&wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Echo: echo, Now: time.Now().Add(skew).UnixNano()}}})
}

// report returns the next report of these observations, numbered as in v1.
func (k *talk) report(all ...holdfast.Observation) *wirepb.Report {
	k.t.Helper()
	k.seq++
	r := &wirepb.Report{Seq: k.seq, Sent: time.Now().UnixNano(), Assignment: "v1", Order: 1<<32 + k.seq*1000}
	for i := range all {
		if all[i].At.IsZero() {
			all[i].At = time.Now()
		}
		m, err := wire.FromResult(&all[i])
		if err != nil {
			k.t.Fatal(err)
		}
		m.Check, m.Order = uint32(i), uint32(i)
		r.Results = append(r.Results, m)
	}
	return r
}

func (k *talk) send(r *wirepb.Report) {
	k.t.Helper()
	k.up(&wirepb.Up{Message: &wirepb.Up_Report{Report: r}})
}

// next returns the next message that is no ping.
func (k *talk) next() *wirepb.Down {
	k.t.Helper()
	for {
		m, err := k.Recv()
		if err != nil {
			k.t.Fatalf("session ended: %v", err)
		}
		if p := m.GetPing(); p != nil {
			k.pong(p.Now, 0)
			continue
		}
		return m
	}
}

// acked waits for acknowledgements of exactly these reports.
func (k *talk) acked(want ...uint64) {
	k.t.Helper()
	var got []uint64
	for len(got) < len(want) {
		m := k.next()
		if m.GetAck() == nil {
			k.t.Fatalf("got %v, want an acknowledgement of %v", m, want)
		}
		got = append(got, m.GetAck().Seqs...)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		k.t.Fatalf("acknowledged %v, want %v", got, want)
	}
}

// ended waits for the end of the session and returns why.
func (k *talk) ended() error {
	for {
		if _, err := k.Recv(); err != nil {
			return err
		}
	}
}

func ok(summary string) holdfast.Observation {
	return holdfast.Observation{Outcome: holdfast.OK, Summary: summary}
}

func recoverRequest(t testing.TB, h *host, conn *tls.Conn) *wirepb.RecoverRequest {
	t.Helper()
	state := conn.ConnectionState()
	exported, err := state.ExportKeyingMaterial(wire.RecoverLabel, nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	csr := csrOf(t, h.key)
	signature, err := h.key.Sign(rand.Reader, wire.RecoverDigest(exported, csr), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return &wirepb.RecoverRequest{Agent: h.name, Csr: csr, Signature: signature}
}

func keyHash(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return sum[:]
}
