package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const day = 24 * time.Hour

// standby are the endpoints at the recovery site, by name: how long ago the
// certificate of each was issued, and how long it is good for from now.
var standby = map[string]struct{ age, left time.Duration }{
	"login": {20 * day, 70 * day},
	"pay":   {300 * day, 65 * day},
	"shop":  {0, 90 * day},
}

// hostName is the name an endpoint's certificate is for.
func hostName(endpoint string) string { return endpoint + ".ams.example" }

// authority issues the certificates of the standby endpoints.
type authority struct {
	file string // its certificate, PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of the Holdfast demo"},
		NotBefore: now.Add(-730 * day), NotAfter: now.Add(3650 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "Authority of the Holdfast demo"}}, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return &authority{file, cert, key}, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// issue makes a certificate that was issued some time ago and is good for some
// time yet.
func (a *authority) issue(name string, age, left time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-age - time.Minute), NotAfter: now.Add(left),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// endpoint is a standby service: it answers over TLS that it is there.
type endpoint struct {
	address string
	cert    atomic.Pointer[tls.Certificate]
	server  *http.Server
	ended   chan struct{}
}

// serve starts the standby endpoints on ports that are free.
func (e *estate) serve(ctx context.Context) error {
	for name, c := range standby {
		cert, err := e.authority.issue(hostName(name), c.age, c.left)
		if err != nil {
			return err
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		e.endpoints[name] = newEndpoint(l, cert)
	}
	return nil
}

func newEndpoint(l net.Listener, cert *tls.Certificate) *endpoint {
	p := &endpoint{address: l.Addr().String(), ended: make(chan struct{})}
	p.cert.Store(cert)
	p.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "standing by\n") }),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // whoever shakes hands and leaves
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return p.cert.Load(), nil
		}},
	}
	go func() {
		defer close(p.ended)
		_ = p.server.ServeTLS(l, "", "")
	}()
	return p
}

func (p *endpoint) close() {
	_ = p.server.Close()
	<-p.ended
}
