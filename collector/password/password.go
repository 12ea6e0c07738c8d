// Package password keeps people's passwords as argon2id hashes (RFC 9106).
//
// A hash is kept in the PHC string form, which carries its own parameters:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY. Whoever logs in with a hash made under
// older parameters has it made anew.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// What a password must have. Length is what makes it hard to guess; rules about
// kinds of characters only make it hard to remember (NIST SP 800-63B-4, 3.1.1.2).
const (
	MinLength = 12   // characters
	MaxLength = 1024 // bytes
)

// Parameters are argon2id's costs.
type Parameters struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// Default is the first choice of the OWASP Password Storage Cheat Sheet: 19 MiB,
// two passes, one thread.
var Default = Parameters{Memory: 19 << 10, Passes: 2, Threads: 1}

const (
	saltLength = 16 // bytes, RFC 9106 section 3.1
	keyLength  = 32
	maxMemory  = 1 << 20 // KiB: what a stored hash may ask of us at most
	maxPasses  = 100
)

// Hasher makes and checks hashes, a few at a time: each takes the memory its
// parameters name, so the number is what bounds the whole.
type Hasher struct {
	params Parameters
	slots  chan struct{} // one a hash being made
	queue  chan struct{} // one a caller, waiting or at work
	dummy  string        // a hash of nothing anybody knows
}

// New returns a hasher that makes at most atOnce hashes at the same time.
func New(p Parameters, atOnce int) *Hasher {
	h := &Hasher{params: p, slots: make(chan struct{}, atOnce), queue: make(chan struct{}, 16*atOnce)}
	h.dummy = h.make([]byte(rand.Text()))
	return h
}

// Check says what is wrong with a password somebody wants to have.
func Check(password string) error {
	switch {
	case !utf8.ValidString(password):
		return errors.New("password: this is not text")
	case len(password) > MaxLength:
		return fmt.Errorf("password: at most %d bytes", MaxLength)
	case utf8.RuneCountInString(norm.NFC.String(password)) < MinLength:
		return fmt.Errorf("password: at least %d characters; a few words in a row are easy to remember", MinLength)
	}
	return nil
}

// Hash makes the hash of a password. An error matches holdfast.ErrBusy where more
// wait than can be served soon.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := Check(password); err != nil {
		return "", err
	}
	release, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return h.make(canonical(password)), nil
}

// Verify reports whether a hash is of the password, and whether it should be made
// anew because it was made under other parameters. An empty hash stands for
// somebody unknown: it costs as much and is never right.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (right, old bool, err error) {
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	p, salt, key, err := parse(hash)
	if err != nil {
		return false, false, err
	}
	release, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	if len(password) > MaxLength {
		password = "" // nobody has it; it costs what any other does
	}
	got := argon2.IDKey(canonical(password), salt, p.Passes, p.Memory, p.Threads, uint32(len(key)))
	right = subtle.ConstantTimeCompare(got, key) == 1 && known
	return right, p != h.params || len(salt) != saltLength || len(key) != keyLength, nil
}

// enter waits for a free slot, or says that too many wait already.
func (h *Hasher) enter(ctx context.Context) (release func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, holdfast.ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, ctx.Err()
	}
}

// canonical gives one form to what keyboards write differently: é is one
// character or two.
func canonical(password string) []byte { return norm.NFC.Bytes([]byte(password)) }

func (h *Hasher) make(password []byte) string {
	var salt [saltLength]byte
	rand.Read(salt[:])
	p := h.params
	key := argon2.IDKey(password, salt[:], p.Passes, p.Memory, p.Threads, keyLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Passes, p.Threads, b64.EncodeToString(salt[:]), b64.EncodeToString(key))
}

// parse takes a hash in PHC string form apart. What it asks for is bounded: a
// damaged one must not take all memory.
func parse(hash string) (p Parameters, salt, key []byte, err error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errors.New("stored hash: not an argon2id hash of this version")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Passes, &p.Threads); err != nil {
		return p, nil, nil, fmt.Errorf("stored hash: parameters: %w", err)
	}
	if p.Memory < 8 || p.Memory > maxMemory || p.Passes < 1 || p.Passes > maxPasses || p.Threads < 1 {
		return p, nil, nil, fmt.Errorf("stored hash: parameters %s out of bounds", parts[3])
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return p, nil, nil, errors.New("stored hash: bad salt")
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(key) < 16 {
		return p, nil, nil, errors.New("stored hash: bad key")
	}
	return p, salt, key, nil
}
