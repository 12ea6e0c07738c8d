package agent_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// countProbe is the probe of the plugin "self", which this test binary serves when
// it is run as "plugin self".
type countProbe struct{}

var countDescription = holdfast.Description{Name: "self.count", Observes: "That it was asked.", Settings: `{"type":"object"}`, Cost: holdfast.Cheap}

func (countProbe) Describe() probe.Description { return countDescription }
func (countProbe) Observe(context.Context, probe.Request) (probe.Observation, error) {
	return probe.Observation{Outcome: holdfast.OK, Summary: "asked"}, nil
}

// joinedFolder returns the data folder of an agent that joined a collector once and
// was assigned checks, and an address where no collector answers.
func joinedFolder(t testing.TB, checks []holdfast.Check) (dir, address string) {
	t.Helper()
	dir = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var identity bytes.Buffer
	write := func(b *pem.Block) {
		if err := pem.Encode(&identity, b); err != nil {
			t.Fatal(err)
		}
	}
	write(&pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{"Holdfast-Agent": "dr1"}, Bytes: der})
	for _, authority := range []bool{false, true} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dr1"}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour), IsCA: authority, BasicConstraintsValid: true}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		write(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	}
	assignment, err := json.Marshal(holdfast.Assignment{Version: "1", Checks: checks})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(assignment)
	kept, err := json.Marshal(map[string]any{"sha256": hex.EncodeToString(sum[:]), "assignment": json.RawMessage(assignment)})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"identity.pem": identity.Bytes(), "assignment.json": kept} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	return dir, address
}

func newAgent(t *testing.T, dir, address string) (*agent.Agent, error) {
	t.Helper()
	c := agent.Default()
	c.Data, c.Join, c.Allow = dir, address, nil
	return agent.New(agent.Options{Config: c, Version: "test", Log: (&logged{}).logger(),
		FirstParty: map[string][]holdfast.Description{"self": {countDescription}, "restic": {{Name: "restic.check", Privileges: holdfast.Privileges{Secrets: true}}}}})
}

// TestAgentKeepsProbingWithoutItsCollector starts an agent that knows its checks
// from before, twice, while no collector answers.
func TestAgentKeepsProbingWithoutItsCollector(t *testing.T) {
	t.Parallel()
	every, timeout := holdfast.Duration(4*time.Second), holdfast.Duration(3900*time.Millisecond)
	dir, address := joinedFolder(t, []holdfast.Check{
		{ID: "s/p/count", Probe: "self.count", On: "dr1", Every: every, Timeout: timeout},
		{ID: "s/p/intact", Probe: "restic.check", On: "dr1", Every: every, Timeout: timeout},
		{ID: "s/p/unsound", Probe: "self.count", On: "dr1", Every: 1},
	})
	waiting := 0
	for range 2 {
		a, err := newAgent(t, dir, address)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := newAgent(t, dir, address); err == nil || !strings.Contains(err.Error(), "another agent is running") {
			t.Errorf("a second agent on the folder: %v, %v; want a refusal", other, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		var s agent.Status
		until(t, "two reports more, one check refused and no session", func() bool {
			s, err = agent.ReadStatus(t.Context(), dir)
			return err == nil && s.Spool.Waiting >= waiting+2 && len(s.Refused) == 1 && s.Problem != "" && len(s.Plugins) == 1
		})
		if s.Name != "dr1" || s.Connected || s.Checks != 3 || !strings.Contains(s.Refused["s/p/intact"], "does not allow restic.check") {
			t.Errorf("status %+v", s)
		}
		info, err := os.Stat(filepath.Join(dir, "agent.sock"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("status socket: %v, %v; want mode 0600", info, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		waiting = s.Spool.Waiting
		if _, err := agent.ReadStatus(t.Context(), dir); !errors.Is(err, agent.ErrNotRunning) {
			t.Errorf("status of an agent that ended: %v, want that none runs", err)
		}
	}
	o := openOutbox(t, filepath.Join(dir, "spool.db"), newClock().options(), &logged{})
	outcomes := map[string]holdfast.Outcome{}
	for _, r := range all(t, o) {
		for _, obs := range r.Observations {
			outcomes[obs.Check+" "+string(obs.Reason)] = obs.Outcome
		}
	}
	delete(outcomes, "s/p/count timeout") // a machine too busy to start a plugin in 3.9 s
	if outcomes["s/p/count "] != holdfast.OK || outcomes["s/p/intact refused"] != holdfast.OutcomeUnknown || len(outcomes) != 2 {
		t.Errorf("spooled %v, want the count ok, the refused check unknown, nothing else", outcomes)
	}
}

func TestAgentThatNeverJoinedSaysHow(t *testing.T) {
	a, err := newAgent(t, t.TempDir(), "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); !errors.Is(err, agent.ErrNotJoined) || !strings.Contains(err.Error(), "--token-file") {
		t.Errorf("got %v, want how to join", err)
	}
}

func TestAgentNeedsAFolderItCanWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newAgent(t, filepath.Join(file, "data"), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("got %v, want an error with a hint", err)
	}
}

// TestAgentPassesOverADamagedAssignment says that an agent whose kept assignment
// is damaged starts without checks, and says so.
func TestAgentPassesOverADamagedAssignment(t *testing.T) {
	dir, address := joinedFolder(t, []holdfast.Check{{ID: "a", Probe: "self.count", Every: holdfast.Duration(time.Second)}})
	path := filepath.Join(dir, "assignment.json")
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(kept, []byte(`self.count`), []byte(`self.other`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	c := agent.Default()
	c.Data, c.Join = dir, address
	a, err := agent.New(agent.Options{Config: c, Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "its checksum is wrong") {
		t.Errorf("the log does not say so: %s", log)
	}
}
