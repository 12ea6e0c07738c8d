package ingest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-monitor/holdfast/wire"
)

// An agent whose clock is wrong by less than a year must still accept the
// collector, or nobody would learn that its clock is wrong.
const (
	clockSlack    = 365 * 24 * time.Hour
	authorityLife = 20 * 365 * 24 * time.Hour
	serverLife    = 365 * 24 * time.Hour
	maxAuthority  = 64 << 10 // bytes of the authority's file
)

// authority signs the certificates of one collector and its agents.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
	pool *x509.CertPool
	now  func() time.Time

	mu     sync.Mutex
	server *tls.Certificate // guarded by mu: for the agents' port; its key lives in memory only
	until  time.Time        // guarded by mu: when server is made anew
}

// openAuthority reads the authority's key and certificate from one file, or makes
// them if there is no file. The file must be its owner's alone.
func openAuthority(path string, now func() time.Time) (*authority, error) {
	err := checkPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createAuthority(path, now()); err == nil {
			err = checkPrivate(path)
		}
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	a := &authority{pool: x509.NewCertPool(), now: now}
	if err := a.parse(data); err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup; without it every agent has to join again", path, err)
	}
	return a, nil
}

// checkPrivate refuses a file that others than its owner can touch, and one that
// is no plain file.
func checkPrivate(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a plain file", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s holds a private key and has mode %#o: others may have read it; if nobody did, chmod 600 it", path, info.Mode().Perm())
	case info.Size() > maxAuthority:
		return fmt.Errorf("%s has %d bytes, at most %d", path, info.Size(), maxAuthority)
	}
	return nil
}

func (a *authority) parse(data []byte) error {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return fmt.Errorf("private key: %w", err)
			}
			a.key, _ = key.(crypto.Signer)
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("certificate: %w", err)
			}
			a.cert = cert
		}
	}
	switch {
	case a.key == nil || a.cert == nil:
		return errors.New("no private key with its certificate in it")
	case !a.cert.IsCA:
		return errors.New("its certificate is not an authority's")
	case !a.cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(a.key.Public()):
		return errors.New("key and certificate do not belong together")
	case a.now().After(a.cert.NotAfter):
		return fmt.Errorf("ran out on %s", a.cert.NotAfter.Format(time.DateOnly))
	}
	a.pool.AddCert(a.cert)
	return nil
}

// credentialKey returns the key under which agents hash credentials (holdfast's
// Observation.Credential). It follows from the authority's own key (HKDF, RFC 5869),
// which it tells nothing of: so it is the same after a restart and a restore, and
// stands in no record that holds the hashes.
func (a *authority) credentialKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("key for credentials: %w", err)
	}
	return hkdf.Key(sha256.New, der, nil, "holdfast credential 1", sha256.Size)
}

// createAuthority makes a key and its certificate. The file appears whole or not
// at all.
func createAuthority(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Holdfast collector " + rand.Text()[:8]},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign the authority's certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = errors.Join(pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	if err != nil {
		return err
	}
	return writePrivate(path, b.Bytes())
}

// writePrivate writes a file of mode 0600 under another name and renames it, both
// on disk before it returns.
func writePrivate(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fingerprint is what a join token carries of the authority.
func (a *authority) fingerprint() [32]byte { return sha256.Sum256(a.cert.Raw) }

// agentCertificate signs a certificate for an agent's key.
func (a *authority) agentCertificate(agent string, key crypto.PublicKey, life time.Duration) (*x509.Certificate, error) {
	now := a.now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: agent},
		NotBefore: now.Add(-min(life/10, time.Hour)), NotAfter: now.Add(life),
		URIs:     []*url.URL{wire.AgentURI(agent)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", agent, err)
	}
	return x509.ParseCertificate(der)
}

// serverCertificate returns the certificate of the agents' port with its chain,
// made anew at half its life.
func (a *authority) serverCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.server != nil && now.Before(a.until) {
		return a.server, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: wire.ServerName}, DNSNames: []string{wire.ServerName},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the collector's own certificate: %w", err)
	}
	a.server = &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
	a.until = now.Add(serverLife / 2)
	return a.server, nil
}

// tlsConfig is TLS 1.3 and nothing else. A client certificate that does not stand
// up to the authority ends the handshake; none at all is left to the methods.
// Sessions are not resumed: every connection shows its certificate.
func (a *authority) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: a.serverCertificate,
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.pool,
		SessionTicketsDisabled: true, Time: a.now,
	}
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}
