package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// Where an identity is kept in the agent's data folder. One file holds all of it,
// so that no crash leaves a key beside another key's certificate.
const (
	identityFile = "identity.pem"
	joiningFile  = "identity.pem.joining" // a key that may be bound already, without its certificate
	nameHeader   = "Holdfast-Agent"
	maxIdentity  = 64 << 10 // bytes
)

// ErrNotJoined says that the data folder holds no identity yet.
var ErrNotJoined = errors.New("this agent has not joined a collector: start it with --join HOST:PORT and --token-file FILE (on the collector: holdfast collector token --agent NAME)")

// Identity is an agent's name, its key, which never leaves the host, and the
// certificate that a collector made for it.
type Identity struct {
	path string
	name string
	key  *ecdsa.PrivateKey

	mu          sync.Mutex
	cert        *x509.Certificate   // guarded by mu; nil while joining
	authorities []*x509.Certificate // guarded by mu: whom to trust as the collector
}

// OpenIdentity reads the identity kept in the agent's data folder, or ErrNotJoined.
func OpenIdentity(dir string) (*Identity, error) {
	i, err := readIdentity(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotJoined
	}
	if err == nil && i.cert == nil {
		err = errors.New("it holds no certificate: join again")
	}
	if err != nil {
		return nil, fmt.Errorf("identity of the agent in %s: %w", dir, err)
	}
	return i, nil
}

func readIdentity(path string) (*Identity, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxIdentity:
		return nil, fmt.Errorf("%s is not a plain file of at most %d bytes", path, maxIdentity)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s holds a private key and has mode %#o: others may have read it; if nobody did, chmod 600 it, else join again", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	i := &Identity{path: path}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if err := i.take(block); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if i.key == nil || len(i.authorities) == 0 {
		return nil, fmt.Errorf("%s holds no key or no authority: join again", path)
	}
	if i.cert != nil && !i.key.PublicKey.Equal(i.cert.PublicKey) {
		return nil, fmt.Errorf("%s: key and certificate do not belong together: join again", path)
	}
	return i, wire.CheckAgentName(i.name)
}

func (i *Identity) take(block *pem.Block) error {
	switch block.Type {
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("private key: %w", err)
		}
		i.key, _ = key.(*ecdsa.PrivateKey)
		i.name = block.Headers[nameHeader]
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		if cert.IsCA {
			i.authorities = append(i.authorities, cert)
		} else {
			i.cert = cert
		}
	}
	return nil
}

// save writes the identity: after a crash the file is the old or the new one. The
// caller holds mu, or is alone.
func (i *Identity) save() error {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		return err
	}
	blocks := []*pem.Block{{Type: "PRIVATE KEY", Headers: map[string]string{nameHeader: i.name}, Bytes: der}}
	for _, c := range append([]*x509.Certificate{i.cert}, i.authorities...) {
		if c != nil {
			blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
	}
	var b bytes.Buffer
	for _, block := range blocks {
		if err := pem.Encode(&b, block); err != nil {
			return err
		}
	}
	if err := writeFile(i.path, b.Bytes()); err != nil {
		return fmt.Errorf("keep the agent's identity: %w", err)
	}
	return nil
}

// Join makes a key, has the collector at address bind it to the name in the token,
// and keeps what it gets. The collector is the one whose authority the token
// names, or the token is not sent. Joining again with a new token replaces the
// identity once it has succeeded. A join whose answer was lost is taken up again
// with the same key.
func Join(ctx context.Context, dir, address, token string) (*Identity, error) {
	t, err := wire.ParseToken(token)
	if err != nil {
		return nil, err
	}
	i, err := joining(ctx, dir, address, t)
	if err != nil {
		return nil, fmt.Errorf("join %s as %s: %w", address, t.Agent, err)
	}
	if i.cert == nil { // else only the last step was missed
		err = i.enrol(ctx, address, t)
	}
	if status.Code(err) == codes.PermissionDenied { // used: by us perhaps, and the answer was lost
		if i.Recover(ctx, address) == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("join %s as %s: %w", address, t.Agent, plain(err))
	}
	if err := os.Rename(i.path, filepath.Join(dir, identityFile)); err != nil {
		return nil, fmt.Errorf("keep the agent's identity: %w", err)
	}
	i.path = filepath.Join(dir, identityFile)
	return i, syncDir(dir)
}

// joining returns the identity to join with: that of a join cut short, or a new
// one. It is on disk before the collector hears of it.
func joining(ctx context.Context, dir, address string, t wire.Token) (*Identity, error) {
	path := filepath.Join(dir, joiningFile)
	i, err := readIdentity(path)
	if err == nil && i.name == t.Agent && sha256.Sum256(i.authorities[0].Raw) == t.Authority {
		return i, nil
	}
	authority, err := fetchAuthority(ctx, address, t.Authority)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	i = &Identity{path: path, name: t.Agent, key: key, authorities: []*x509.Certificate{authority}}
	return i, i.save()
}

// fetchAuthority connects once and returns the authority whose fingerprint the
// token carries, after the collector has proven to be its own.
func fetchAuthority(ctx context.Context, address string, fingerprint [32]byte) (authority *x509.Certificate, err error) {
	d := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: wire.ServerName, NextProtos: []string{"h2"},
		InsecureSkipVerify: true, // the authority is not known yet: VerifyConnection finds it by its fingerprint and checks all the same
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, c := range s.PeerCertificates {
				if sha256.Sum256(c.Raw) == fingerprint && c.IsCA {
					authority = c
				}
			}
			if authority == nil {
				return errors.New("this is not the collector that made the token: its authority has another fingerprint")
			}
			return verifyCollector(s, authority)
		},
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return authority, conn.Close()
}

func verifyCollector(s tls.ConnectionState, authority *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: roots, DNSName: wire.ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func (i *Identity) enrol(ctx context.Context, address string, t wire.Token) error {
	csr, err := i.csr()
	if err != nil {
		return err
	}
	conn, err := connect(ctx, address, i.tlsConfig(false))
	if err != nil {
		return err
	}
	defer conn.Close()
	hostname, _ := os.Hostname() // for the collector's log; may be empty
	answer, err := wirepb.NewAgentsClient(conn).Enroll(ctx, &wirepb.EnrollRequest{Token: t.String(), Csr: csr, Hostname: hostname})
	if err != nil {
		return err
	}
	return i.adopt(answer)
}

// renew asks for a new certificate over a connection that the present one opened.
func (i *Identity) renew(ctx context.Context, client wirepb.AgentsClient) error {
	csr, err := i.csr()
	if err != nil {
		return err
	}
	answer, err := client.Renew(ctx, &wirepb.RenewRequest{Csr: csr})
	if err != nil {
		return plain(err)
	}
	return i.adopt(answer)
}

// Recover asks the collector at address for a new certificate by the bound key
// alone, after the present one has run out. The collector allows it a few times.
func (i *Identity) Recover(ctx context.Context, address string) error {
	csr, err := i.csr()
	if err != nil {
		return err
	}
	conn, err := connect(ctx, address, i.tlsConfig(false))
	if err != nil {
		return fmt.Errorf("recover from %s: %w", address, err)
	}
	defer conn.Close()
	state := conn.tls.ConnectionState()
	exported, err := state.ExportKeyingMaterial(wire.RecoverLabel, nil, 32)
	if err != nil {
		return fmt.Errorf("recover from %s: %w", address, err)
	}
	signature, err := i.key.Sign(rand.Reader, wire.RecoverDigest(exported, csr), crypto.SHA256)
	if err != nil {
		return err
	}
	answer, err := wirepb.NewAgentsClient(conn).Recover(ctx, &wirepb.RecoverRequest{Agent: i.name, Csr: csr, Signature: signature})
	if err != nil {
		return fmt.Errorf("recover from %s: %w", address, plain(err))
	}
	return i.adopt(answer)
}

func (i *Identity) csr() ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: i.name}}, i.key)
}

// adopt checks a new certificate and keeps it.
func (i *Identity) adopt(m *wirepb.Certificate) error {
	cert, err := x509.ParseCertificate(m.GetCertificate())
	if err != nil {
		return fmt.Errorf("certificate from the collector: %w", err)
	}
	if name, err := wire.AgentOf(cert); err != nil || name != i.name || !i.key.PublicKey.Equal(cert.PublicKey) {
		return fmt.Errorf("certificate from the collector: not for the name and key of %s", i.name)
	}
	var authorities []*x509.Certificate
	for _, der := range m.GetAuthorities() {
		c, err := x509.ParseCertificate(der)
		if err != nil || !c.IsCA {
			return errors.New("authority from the collector: not an authority's certificate")
		}
		authorities = append(authorities, c)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	old, known := i.cert, i.authorities
	i.cert = cert
	if len(authorities) > 0 {
		i.authorities = authorities
	}
	if err := i.save(); err != nil {
		i.cert, i.authorities = old, known
		return err
	}
	return nil
}

// Name returns the agent's name.
func (i *Identity) Name() string { return i.name }

// Validity returns from when until when the certificate holds, by the collector's
// clock.
func (i *Identity) Validity() (from, until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cert.NotBefore, i.cert.NotAfter
}

// TLS returns how a client speaks to the collector as this agent: it trusts the
// collector's authority and nobody else, and shows the certificate.
func (i *Identity) TLS() *tls.Config { return i.tlsConfig(true) }

// tlsConfig trusts the collector's authority and nobody else, and shows the
// certificate if asked to.
func (i *Identity) tlsConfig(show bool) *tls.Config {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: wire.ServerName, RootCAs: x509.NewCertPool()}
	for _, a := range i.authorities {
		c.RootCAs.AddCert(a)
	}
	if show {
		mine := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
		// Asked so, it is shown whatever authority the collector says it accepts: the
		// refusal then says what is wrong with it.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }
	}
	return c
}
