package wire

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ServerName is the name every collector's certificate carries for its agents'
// port. An agent trusts one authority that signs nothing but its own collector
// and agents, so the address it dials, a load balancer's perhaps, needs no name.
const ServerName = "collector.holdfast.internal"

// Token is a join token as both ends read it. Written it is
// "hf1.NAME.SECRET.AUTHORITY": the agent's name, 32 random bytes, and the SHA-256
// of the authority's certificate, both base64url.
type Token struct {
	Agent     string
	Secret    [32]byte
	Authority [32]byte
}

const tokenPrefix = "hf1."

// String writes the token. It is a secret.
func (t Token) String() string {
	enc := base64.RawURLEncoding.EncodeToString
	return tokenPrefix + t.Agent + "." + enc(t.Secret[:]) + "." + enc(t.Authority[:])
}

// ParseToken reads a join token. Errors never repeat it.
func ParseToken(s string) (Token, error) {
	var t Token
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !ok || len(s) > 300 {
		return t, errors.New("join token: it begins with hf1. and is printed by holdfast collector token")
	}
	head, authority, ok1 := cutLast(rest)
	name, secret, ok2 := cutLast(head)
	if !ok1 || !ok2 || !decode32(&t.Secret, secret) || !decode32(&t.Authority, authority) {
		return t, errors.New("join token: not whole, copy it again from its first to its last character")
	}
	t.Agent = name
	return t, CheckAgentName(name)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func decode32(dst *[32]byte, s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && copy(dst[:], b) == len(dst) && len(b) == len(dst)
}

// CheckAgentName reports what is wrong with an agent's name: it has 1 to 100 of
// a-z A-Z 0-9 . _ - and begins with a letter or digit, like every name of the
// catalogue.
func CheckAgentName(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
	if name == "" || len(name) > 100 || bad >= 0 || strings.ContainsRune("._-", rune(name[0])) {
		return fmt.Errorf("agent name %.120q: a name has 1 to 100 of a-z A-Z 0-9 . _ - and begins with a letter or digit", name)
	}
	return nil
}

// AgentURI is the subject alternative name of an agent's certificate: what makes
// it one of an agent, and whose.
func AgentURI(name string) *url.URL {
	return &url.URL{Scheme: "holdfast", Host: "agent", Path: "/" + name}
}

// AgentOf returns the agent a certificate was issued to.
func AgentOf(c *x509.Certificate) (string, error) {
	if len(c.URIs) != 1 || len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) > 0 {
		return "", errors.New("its subject alternative name is not one agent's")
	}
	u := c.URIs[0]
	name := strings.TrimPrefix(u.Path, "/")
	if u.String() != AgentURI(name).String() || CheckAgentName(name) != nil {
		return "", fmt.Errorf("its subject alternative name %.120q is not an agent's", u.String())
	}
	return name, nil
}

// KeyHash returns what an agent's name is bound to: the SHA-256 of its key's
// SubjectPublicKeyInfo.
func KeyHash(spki []byte) []byte {
	sum := sha256.Sum256(spki)
	return sum[:]
}

// SameHash compares two hashes in a time that tells nothing.
func SameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

// RecoverDigest is what a recovery signs: exported are the bytes both ends export
// from their connection.
func RecoverDigest(exported, csr []byte) []byte {
	h := sha256.New()
	h.Write([]byte(RecoverPurpose))
	h.Write(exported)
	h.Write(csr)
	return h.Sum(nil)
}
