package restic_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	//lint:ignore SA1019 restic's key files are sealed with it
	"golang.org/x/crypto/poly1305"
	"golang.org/x/crypto/scrypt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/restic"
)

const (
	tool     = "/usr/bin/restic"
	password = "correct horse"
)

// repo is a real repository in a temporary folder.
type repo struct {
	dir, passwordFile, source string
}

// template makes one empty repository for all tests to copy. The key that restic
// makes takes 0.4 s of CPU to open by design; it is replaced with a cheap one, so
// that the tests can make their hundreds of calls.
var template = sync.OnceValue(func() *repo {
	base, err := os.MkdirTemp("", "restic-template-")
	if err != nil {
		panic(err)
	}
	templateDir = base
	r := &repo{dir: filepath.Join(base, "repo"), passwordFile: filepath.Join(base, "password")}
	if err := errors.Join(os.WriteFile(r.passwordFile, []byte(password), 0o600), r.run(nil, "init", "--no-cache"), cheapKey(r)); err != nil {
		panic(err)
	}
	return r
})

// templateDir is the template's folder, once it was made.
var templateDir string

// The helpers of all plugins' tests, under short names.
var (
	expect, isEmpty, must           = probetest.Expect, probetest.WantEmpty, probetest.Must
	write, noise, fakeTool, waitFor = probetest.Write, probetest.Noise, probetest.FakeTool, probetest.WaitFor
)

// find returns a fresh probe by name.
func find(t testing.TB, name string) probe.Probe {
	t.Helper()
	return probetest.Find(t, restic.Probes(), name)
}

func TestMain(m *testing.M) {
	probetest.RestoreVictim(restic.Probes()...)
	code := m.Run()
	if templateDir != "" {
		_ = os.RemoveAll(templateDir)
	}
	os.Exit(code)
}

// newRepo makes a repository and a folder to back up.
func newRepo(t *testing.T) *repo {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("restic is needed: %v", err)
		}
		t.Skipf("restic is needed: %v", err)
	}
	base := t.TempDir()
	r := template().copy(t)
	r.passwordFile, r.source = filepath.Join(base, "password"), filepath.Join(base, "source")
	write(t, r.passwordFile, password)
	write(t, filepath.Join(r.source, "a", "ledger"), noise(1, 300_000))
	write(t, filepath.Join(r.source, "a", "journal"), noise(2, 200_000))
	write(t, filepath.Join(r.source, "b", "notes *[1]?.txt"), "hello")
	write(t, filepath.Join(r.source, "empty"), "")
	must(t, os.Link(filepath.Join(r.source, "a", "journal"), filepath.Join(r.source, "b", "hard")))
	must(t, os.Symlink("a/ledger", filepath.Join(r.source, "link")))
	return r
}

// restic runs the tool on the repository and returns its standard output.
func (r *repo) restic(t testing.TB, args ...string) []byte {
	t.Helper()
	var stdout bytes.Buffer
	must(t, r.run(&stdout, args...))
	return stdout.Bytes()
}

func (r *repo) run(stdout io.Writer, args ...string) error {
	cmd := exec.CommandContext(context.Background(), tool, append([]string{"--repo", r.dir, "--password-file", r.passwordFile}, args...)...)
	cmd.Env = []string{"HOME=" + filepath.Dir(r.passwordFile), "PATH=/usr/bin"}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("restic %v: %w\n%s", args, err, stderr.Bytes())
	}
	return nil
}

func (r *repo) backup(t testing.TB, args ...string) {
	t.Helper()
	r.restic(t, append([]string{"backup", "--quiet", "--no-cache", "--host", "db1", "--tag", "ledger", r.source}, args...)...)
}

// copy copies the repository, so that it can be damaged.
func (r *repo) copy(t *testing.T) *repo {
	t.Helper()
	c := *r
	c.dir = filepath.Join(t.TempDir(), "repo")
	must(t, os.CopyFS(c.dir, os.DirFS(r.dir)))
	return &c
}

// settings are the probe's settings for this repository, with more of them.
func (r *repo) settings(t testing.TB, more map[string]any) holdfast.Settings {
	t.Helper()
	m := map[string]any{"repository": r.dir, "password_file": r.passwordFile}
	for k, v := range more {
		m[k] = v
	}
	b, err := json.Marshal(m)
	must(t, err)
	return holdfast.Settings(b)
}

// observe runs a probe on the repository.
func (r *repo) observe(t *testing.T, name string, more map[string]any) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	q := probe.Request{Check: "s/d/c", Settings: r.settings(t, more), Tools: map[string]string{"restic": tool}}
	if name == "restic.restore" {
		q.Scratch = t.TempDir()
	}
	o, err := find(t, name).Observe(ctx, q)
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if q.Scratch != "" {
		isEmpty(t, q.Scratch)
	}
	return o, err
}

// cheapKey replaces a repository's only key with one whose key derivation costs
// next to nothing. The format is that of restic's design document, "Keys,
// Encryption and MAC".
func cheapKey(r *repo) error {
	var master bytes.Buffer
	if err := r.run(&master, "cat", "masterkey", "--no-cache", "--no-lock"); err != nil {
		return err
	}
	salt := make([]byte, 64)
	_, _ = rand.Read(salt)
	const n, rr, p = 2, 1, 1
	user, err := scrypt.Key([]byte(password), salt, n, rr, p, 64)
	if err != nil {
		return err
	}
	key, err := json.Marshal(map[string]any{
		"created": time.Now(), "username": "test", "hostname": "test", "kdf": "scrypt", "N": n, "r": rr, "p": p,
		"salt": salt, "data": seal(user, master.Bytes()),
	})
	if err != nil {
		return err
	}
	keys := filepath.Join(r.dir, "keys")
	old, err := os.ReadDir(keys)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(key)
	return errors.Join(os.WriteFile(filepath.Join(keys, hex.EncodeToString(sum[:])), key, 0o600), os.Remove(filepath.Join(keys, old[0].Name())))
}

// seal is restic's encryption: IV, AES-256-CTR, Poly1305-AES. The key is 64 bytes.
func seal(key, plain []byte) []byte {
	iv := make([]byte, aes.BlockSize)
	_, _ = rand.Read(iv)
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		panic(err) // the key's length is a constant of this file
	}
	sealed := make([]byte, len(plain))
	cipher.NewCTR(block, iv).XORKeyStream(sealed, plain)
	nonce, err := aes.NewCipher(key[32:48])
	if err != nil {
		panic(err)
	}
	var macKey [32]byte
	copy(macKey[:16], key[48:64])
	nonce.Encrypt(macKey[16:], iv)
	var mac [16]byte
	poly1305.Sum(&mac, sealed, &macKey)
	return append(append(iv, sealed...), mac[:]...)
}

// lock puts a lock of the age given into the repository, as restic writes it, and
// returns its path. Nobody renews it.
func (r *repo) lock(t *testing.T, exclusive bool, age time.Duration) string {
	t.Helper()
	var master struct {
		MAC struct {
			K, R []byte
		}
		Encrypt []byte
	}
	must(t, json.Unmarshal(r.restic(t, "cat", "masterkey", "--no-cache", "--no-lock"), &master))
	plain, err := json.Marshal(map[string]any{"time": time.Now().Add(-age), "exclusive": exclusive, "hostname": "db1", "username": "backup", "pid": 4711})
	must(t, err)
	sealed := seal(slices.Concat(master.Encrypt, master.MAC.K, master.MAC.R), plain)
	sum := sha256.Sum256(sealed)
	path := filepath.Join(r.dir, "locks", hex.EncodeToString(sum[:]))
	write(t, path, string(sealed))
	return path
}

// files lists the files of a part of the repository, by size.
func (r *repo) files(t testing.TB, part string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(filepath.Join(r.dir, part), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, p)
		}
		return err
	}))
	if len(found) == 0 {
		t.Fatalf("no file in %s", part)
	}
	return found
}

// list is the repository's snapshots, oldest first.
func (r *repo) list(t testing.TB) []restic.Snapshot {
	t.Helper()
	list, err := restic.ParseSnapshots(r.restic(t, "snapshots", "--json", "--no-cache", "--no-lock"))
	must(t, err)
	return list
}
