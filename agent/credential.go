package agent

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// credentials tells the collector which copies of a dataset one secret opens,
// without telling the secret: each is hashed here, under a key that the collector
// sends with the assignment to all its agents, so that copies seen by different
// agents compare.
//
// Whoever reads the collector's record should learn no weak password from it by
// trying many. So the hash is keyed, and the key is in no record; it is slow
// (PBKDF2-HMAC-SHA256, RFC 8018, with as many rounds as OWASP's Password Storage
// Cheat Sheet asks of stored passwords), because every agent has the key; it is
// salted with the dataset, so that nobody sees which services share a password; and
// it is cut to 32 bits: enough to tell the few copies of one dataset apart, and all
// that anybody can ever learn of a strong key.
//
// A hash is made once for each change of the secret and kept in memory alone. A
// secret that cannot be read has none.
type credentials struct {
	mu    sync.Mutex // guards what follows; one hash is made at a time
	key   []byte     // of the collector; empty: it asks for none
	known map[string]knownCredential

	own    [32]byte // key of this process, to know a secret again; never changes
	rounds int      // never changes
}

// knownCredential is a hash and what it was made of.
type knownCredential struct {
	secret [sha256.Size]byte // HMAC of the secret under the process's own key
	hash   string
}

const (
	credentialRounds = 600_000
	credentialBytes  = 4
	maxSecret        = 64 << 10 // bytes of a file that holds a secret
)

func newCredentials(own [32]byte) *credentials {
	return &credentials{own: own, rounds: credentialRounds, known: map[string]knownCredential{}}
}

// rekey takes the key of an assignment.
func (c *credentials) rekey(key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Equal(key, c.key) {
		c.key = key
		clear(c.known)
	}
}

// of returns the hash of the secret that opens what a check looks at; "" where the
// probe names none, it cannot be read, or the collector sent no key.
func (c *credentials) of(check holdfast.Check, d holdfast.Description) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(d.Secret) == 0 || len(c.key) == 0 {
		return ""
	}
	secret, err := readSecret(check.With, d.Secret)
	if err != nil || len(secret) == 0 {
		return "" // the probe says that it cannot be read, if that matters
	}
	defer clear(secret)
	mine := keyed(c.own[:], secret)
	if k := c.known[check.ID]; k.hash != "" && k.secret == mine {
		return k.hash
	}
	dataset := path.Dir(check.ID) // SERVICE/DATASET of a copy
	salt := keyed(c.key, []byte("holdfast credential 1\n"+dataset))
	hash, err := pbkdf2.Key(sha256.New, string(secret), salt[:], c.rounds, credentialBytes)
	if err != nil {
		return ""
	}
	c.known[check.ID] = knownCredential{mine, hex.EncodeToString(hash)}
	return c.known[check.ID].hash
}

func keyed(key, text []byte) (s [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(s[:0])
	return s
}

// readSecret joins the files that the named settings point at, each behind its
// length; white space around a secret is not part of it, as tools read it. Settings
// that are not given name no file.
func readSecret(with holdfast.Settings, settings []string) ([]byte, error) {
	var values map[string]any
	if with != "" {
		if err := json.Unmarshal([]byte(with), &values); err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
	}
	var secret []byte
	for _, name := range settings {
		file, ok := values[name].(string)
		if !ok {
			continue
		}
		text, err := readSecretFile(file)
		if err != nil {
			return nil, err
		}
		text = bytes.TrimSpace(text)
		secret = append(binary.BigEndian.AppendUint32(secret, uint32(len(text))), text...)
	}
	return secret, nil
}

// readSecretFile reads a small plain file. It waits for nobody: what is no plain
// file is not read.
func readSecretFile(file string) ([]byte, error) {
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("%q is no absolute path", file)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no plain file", file))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(text) > maxSecret {
		err = fmt.Errorf("%s has more than %d bytes", file, maxSecret)
	}
	return text, err
}
