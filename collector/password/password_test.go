package password_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/password"
)

// quick is cheap enough for tests and argon2id all the same.
var quick = password.Parameters{Memory: 64, Passes: 1, Threads: 1}

const horse = "correct horse battery"

func TestHashAndVerify(t *testing.T) {
	h := password.New(quick, 2)
	ctx := t.Context()
	hash, err := h.Hash(ctx, horse)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`).MatchString(hash) {
		t.Errorf("hash %q is not in PHC string form", hash)
	}
	if again, _ := h.Hash(ctx, horse); again == hash {
		t.Error("two hashes of one password are the same: no salt")
	}
	for _, c := range []struct {
		what, hash, password string
		right                bool
	}{
		{"the password", hash, horse, true},
		{"another", hash, horse + "!", false},
		{"none", hash, "", false},
		{"one far too long", hash, strings.Repeat("x", 1<<20), false},
		{"nobody's", "", horse, false},
	} {
		if right, old, err := h.Verify(ctx, c.hash, c.password); right != c.right || old || err != nil {
			t.Errorf("%s: got %v, old %v, %v; want %v", c.what, right, old, err, c.right)
		}
	}
	if right, old, err := password.New(password.Parameters{Memory: 128, Passes: 1, Threads: 1}, 1).Verify(ctx, hash, horse); !right || !old || err != nil {
		t.Errorf("under other parameters: got %v, old %v, %v; want right and old", right, old, err)
	}
}

// A password is the same whichever way its letters were typed.
func TestCanonical(t *testing.T) {
	h := password.New(quick, 1)
	hash, err := h.Hash(t.Context(), "caf\u00e9 au lait, bien chaud")
	if err != nil {
		t.Fatal(err)
	}
	if right, _, err := h.Verify(t.Context(), hash, "cafe\u0301 au lait, bien chaud"); !right || err != nil {
		t.Errorf("decomposed: got %v, %v, want right", right, err)
	}
}

// A damaged hash is an error, never a way in, and never takes all memory.
func TestDamagedHash(t *testing.T) {
	h := password.New(quick, 1)
	hash, _ := h.Hash(t.Context(), horse)
	for _, bad := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA",
		strings.Replace(hash, "v=19", "v=16", 1), strings.Replace(hash, "m=64", "m=4000000000", 1),
		strings.Replace(hash, "t=1", "t=0", 1), strings.Replace(hash, "p=1", "p=300", 1), strings.Replace(hash, "m=64", "m=x", 1),
		hash[:len(hash)-43], hash[:len(hash)-43] + "!!",
	} {
		if right, _, err := h.Verify(t.Context(), bad, horse); right || err == nil {
			t.Errorf("stored hash %q: got %v, %v; want an error", bad, right, err)
		}
	}
}

func TestRules(t *testing.T) {
	for pw, want := range map[string]string{
		"elevenchars":                   "at least 12 characters",
		"twelve chars":                  "",
		"ééééééééééé":                   "at least 12 characters",
		strings.Repeat("e\u0301", 11):   "at least 12 characters",
		"éééééééééééé":                  "",
		strings.Repeat("x", 1024):       "",
		strings.Repeat("x", 1025):       "at most 1024 bytes",
		"not text \xff\xfe\xfd\xfc\xfb": "not text",
	} {
		err := password.Check(pw)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", pw, err, want)
		}
	}
	if _, err := password.New(quick, 1).Hash(t.Context(), "short"); err == nil {
		t.Error("a password too short was taken")
	}
}

// However many log in at once, only so many hashes are made at a time, and those
// that cannot wait are sent away.
func TestBounded(t *testing.T) {
	h := password.New(quick, 1)
	hash, err := h.Hash(t.Context(), horse)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	right, busy := 0, 0
	for range 500 {
		all.Go(func() {
			ok, _, err := h.Verify(t.Context(), hash, horse)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case ok:
				right++
			case errors.Is(err, holdfast.ErrBusy):
				busy++
			default:
				t.Errorf("got %v, %v", ok, err)
			}
		})
	}
	all.Wait()
	if right == 0 || right+busy != 500 {
		t.Errorf("%d right, %d sent away, want all 500 answered", right, busy)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // whoever left gives the place back
		h.Verify(gone, hash, horse)
	}
	if ok, _, err := h.Verify(t.Context(), hash, horse); !ok || err != nil {
		t.Errorf("afterwards: got %v, %v", ok, err)
	}
}

// A name nobody has costs what a wrong password costs.
func BenchmarkVerify(b *testing.B) {
	h := password.New(password.Default, 2)
	hash, err := h.Hash(b.Context(), horse)
	if err != nil {
		b.Fatal(err)
	}
	for name, hash := range map[string]string{"wrong": hash, "unknown": ""} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if right, _, err := h.Verify(b.Context(), hash, "not the password"); right || err != nil {
					b.Fatal(right, err)
				}
			}
		})
	}
}
