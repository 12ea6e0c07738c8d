package net_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	probes "github.com/holdfast-monitor/holdfast/plugins/net"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// authority signs certificates for these tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

var hour = time.Hour

func newAuthority(t *testing.T, name string, notAfter time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-1000 * hour), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, file}
}

// issue signs a certificate for a name.
func (a *authority) issue(t *testing.T, name string, notBefore, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS completes handshakes.
func serveTLS(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	return serve(t, func(c net.Conn) {
		defer c.Close()
		if tls.Server(c, config).Handshake() == nil {
			io.Copy(io.Discard, c)
		}
	})
}

func TestTLS(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	ca, other := newAuthority(t, "Test CA", now.Add(1000*hour)), newAuthority(t, "Other CA", now.Add(1000*hour))
	brief := newAuthority(t, "Brief CA", now.Add(5*hour))
	const name = "pay.example"
	for _, c := range []struct {
		what    string
		signer  *authority
		trusted *authority
		name    string
		from    time.Time
		until   time.Time
		outcome holdfast.Outcome
		words   []string
		expiry  time.Time
	}{
		{"good", ca, ca, name, now.Add(-hour), now.Add(hour), holdfast.OK, []string{name, "valid until"}, now.Add(hour)},
		{"the authority ends first", brief, brief, name, now.Add(-hour), now.Add(100 * hour), holdfast.OK, []string{name}, now.Add(5 * hour)},
		{"expired", ca, ca, name, now.Add(-10 * hour), now.Add(-hour), holdfast.Failed, []string{"expired on " + now.Add(-hour).UTC().Format(time.RFC3339)}, now.Add(-hour)},
		{"not valid yet", ca, ca, name, now.Add(hour), now.Add(2 * hour), holdfast.Failed, []string{"not valid before " + now.Add(hour).UTC().Format(time.RFC3339)}, now.Add(2 * hour)},
		{"another name", ca, ca, "shop.example", now.Add(-hour), now.Add(hour), holdfast.Failed, []string{"is for shop.example, not for pay.example"}, now.Add(hour)},
		{"another authority", other, ca, name, now.Add(-hour), now.Add(hour), holdfast.Failed, []string{`signed by "CN=Other CA", which this host does not trust`}, now.Add(hour)},
		{"the host's own authorities", ca, nil, name, now.Add(-hour), now.Add(hour), holdfast.Failed, []string{"does not trust"}, now.Add(hour)},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.trusted == nil {
				if _, err := x509.SystemCertPool(); err != nil {
					t.Fatalf("this host has no authorities of its own: %v", err)
				}
			}
			address := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{c.signer.issue(t, c.name, c.from, c.until)}})
			pairs := []any{"address", address, "server_name", name}
			if c.trusted != nil {
				pairs = append(pairs, "ca_file", c.trusted.file)
			}
			o := observe(t, "net.tls", pairs...)
			reason := holdfast.Assertion
			if c.outcome == holdfast.OK {
				reason = ""
			}
			wantOutcome(t, o, c.outcome, reason, c.words...)
			if !o.Expiry.Equal(c.expiry) {
				t.Errorf("expiry: got %v, want %v", o.Expiry, c.expiry)
			}
			if got := o.Facts["certificate_names"]; got != c.name {
				t.Errorf("certificate_names: got %q, want %q", got, c.name)
			}
		})
	}
}

func TestTLSFacts(t *testing.T) {
	ca := newAuthority(t, "Test CA", time.Now().Add(hour))
	cert := ca.issue(t, "127.0.0.1", time.Now().Add(-hour), time.Now().Add(hour))
	address := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	o := observe(t, "net.tls", "address", address, "ca_file", ca.file)
	wantOutcome(t, o, holdfast.OK, "")
	for key, want := range map[string]string{
		"protocol": "TLS 1.2", "certificate_chain": "CN=127.0.0.1 < CN=Test CA",
		"certificate_subject": "CN=127.0.0.1", "certificate_issuer": "CN=Test CA",
	} {
		if got := o.Facts[key]; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	measure(t, o, "handshake_seconds")
}

func TestTLSBroken(t *testing.T) {
	ca := newAuthority(t, "Test CA", time.Now().Add(hour))
	cert := ca.issue(t, "127.0.0.1", time.Now().Add(-hour), time.Now().Add(hour))
	old := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	wantOutcome(t, observe(t, "net.tls", "address", old, "ca_file", ca.file), holdfast.Failed, holdfast.Assertion, "handshake fails", "protocol version")

	plain := serve(t, func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP\r\n") })
	wantOutcome(t, observe(t, "net.tls", "address", plain), holdfast.Failed, holdfast.Assertion, "does not look like a TLS handshake")

	wantOutcome(t, observeBriefly(t, "net.tls", "address", silent(t)), holdfast.Failed, holdfast.Timeout)
	wantOutcome(t, observe(t, "net.tls", "address", closed(t)), holdfast.Failed, holdfast.Unreachable)

	hangsUp := serve(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 1024))
		c.Close()
	})
	wantOutcome(t, observeBriefly(t, "net.tls", "address", hangsUp), holdfast.Failed, holdfast.Unreachable)
}

func TestCAFile(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]holdfast.Reason{
		filepath.Join(dir, "none.pem"): holdfast.Missing,
		empty:                          holdfast.Damaged,
	} {
		for name, r := range map[string]probe.Request{
			"net.tls":  request(t, "address", "127.0.0.1:1", "ca_file", file),
			"net.http": request(t, "url", "https://127.0.0.1:1", "ca_file", file),
		} {
			_, err := find(t, probes.Probes(), name).Observe(t.Context(), r)
			if got := probe.ReasonOf(err); got != want {
				t.Errorf("%s with %s: got reason %q (%v), want %q", name, file, got, err, want)
			}
		}
	}
}
