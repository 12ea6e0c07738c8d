package net

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// caFileMax bounds a file of certificates; Debian's bundle of all public
// authorities has 220 KiB.
const caFileMax = 4 << 20

// authorities reads the certificates to trust from a PEM file; nil, which stands
// for those of the host, where none is named.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("setting \"ca_file\": %q is relative: name an absolute path", file)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold us
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, probe.Unable(holdfast.Missing, "open ca_file: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, probe.Unable(holdfast.Refused, "open ca_file: %w: let the agent's user read it", err)
	case err != nil:
		return nil, fmt.Errorf("open ca_file: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, caFileMax))
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, probe.Unable(holdfast.Damaged, "read ca_file: %s holds no PEM certificate", file)
	}
	return pool, nil
}

// distrust says why a certificate was not accepted, in plain words.
func distrust(what string, err *tls.CertificateVerificationError) (probe.Observation, error) {
	var (
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		noRoots x509.SystemRootsError
		why     string
	)
	switch {
	case errors.As(err, &noRoots):
		return probe.Observation{}, probe.Unable(holdfast.Missing, "check the certificate of %s: this host has no trusted authorities: install ca-certificates or name ca_file: %w", what, noRoots)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		why = fmt.Sprintf("the certificate is not valid before %s", day(invalid.Cert.NotBefore))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		why = fmt.Sprintf("the certificate expired on %s", day(invalid.Cert.NotAfter))
	case errors.As(err, &name):
		why = fmt.Sprintf("the certificate is for %s, not for %s", certificateNames(name.Certificate), name.Host)
	case errors.As(err, &unknown):
		why = fmt.Sprintf("the certificate is signed by %q, which this host does not trust", err.UnverifiedCertificates[0].Issuer)
	default:
		why = fmt.Sprintf("the certificate is not accepted: %v", err.Err)
	}
	o := probe.Failed(holdfast.Assertion, "%s: %s", what, why)
	leaf := err.UnverifiedCertificates[0]
	o.Expiry = leaf.NotAfter.UTC()
	o.Facts = certificateFacts(leaf)
	return o, nil
}

// addSession notes what a completed handshake showed.
func addSession(o *probe.Observation, state *tls.ConnectionState) {
	o.Expiry = chainExpiry(state.VerifiedChains).UTC()
	if o.Facts == nil {
		o.Facts = map[string]string{}
	}
	for k, v := range certificateFacts(state.PeerCertificates[0]) {
		o.Facts[k] = v
	}
	o.Facts["protocol"] = tls.VersionName(state.Version)
	o.Facts["cipher"] = tls.CipherSuiteName(state.CipherSuite)
	var chain []string
	for _, c := range state.VerifiedChains[0] {
		chain = append(chain, c.Subject.String())
	}
	o.Facts["certificate_chain"] = probe.OneLine(strings.Join(chain, " < "))
}

// chainExpiry is when the last of the chains ends; a chain ends with the first of
// its certificates.
func chainExpiry(chains [][]*x509.Certificate) time.Time {
	var latest time.Time
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(latest) {
			latest = first
		}
	}
	return latest
}

func certificateFacts(c *x509.Certificate) map[string]string {
	return map[string]string{
		"certificate_subject":    probe.OneLine(c.Subject.String()),
		"certificate_issuer":     probe.OneLine(c.Issuer.String()),
		"certificate_names":      certificateNames(c),
		"certificate_not_before": day(c.NotBefore),
		"certificate_not_after":  day(c.NotAfter),
		"certificate_sha256":     fmt.Sprintf("%x", sha256.Sum256(c.Raw)),
	}
}

// certificateNames lists the hosts and addresses a certificate speaks for.
func certificateNames(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	if len(names) > 8 {
		names = append(names[:8], "…")
	}
	return probe.OneLine(strings.Join(names, ", "))
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
