package files_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/files"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// began is when the archives of these tests begin: long enough ago to be finished.
var began = time.Now().Add(-100 * time.Hour).Truncate(time.Second)

// members of every archive: something empty, something small, something that does
// not compress.
func members() map[string][]byte {
	noise := make([]byte, 40_000)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	return map[string][]byte{"data/empty": nil, "data/hello": []byte("hello\n"), "data/noise": noise}
}

const membersBytes = 6 + 40_000

func tarred(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o755}))
	for _, name := range []string{"data/empty", "data/hello", "data/noise"} {
		content := members()[name]
		must(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}))
		_, err := w.Write(content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func zstded(t testing.TB, content []byte, checksum bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderCRC(checksum))
	must(t, err)
	_, err = w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func zipped(t testing.TB, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.Create("data/")
	must(t, err)
	for _, name := range []string{"data/empty", "data/hello", "data/noise"} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		must(t, err)
		_, err = f.Write(members()[name])
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file that was last changed hours after began.
func put(t testing.TB, dir, name string, content []byte, hours int) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, content, 0o600))
	at := began.Add(time.Duration(hours) * time.Hour)
	must(t, os.Chtimes(path, at, at))
}

// sums is the manifest of some files.
func sums(t testing.TB, dir string, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), name)
	}
	return b.Bytes()
}

// request writes settings for a directory and pairs of key and value.
func request(t testing.TB, dir string, pairs ...any) probe.Request {
	t.Helper()
	m := map[string]any{"directory": dir}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	must(t, err)
	return probe.Request{Settings: holdfast.Settings(b)}
}

// observe fails the test where the probe could not tell.
func observe(t testing.TB, dir string, pairs ...any) probe.Observation {
	t.Helper()
	o, err := files.Probes()[0].Observe(t.Context(), request(t, dir, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Errorf("%v: %+v", err, o)
	}
	return o
}

func wantOutcome(t testing.TB, o probe.Observation, outcome holdfast.Outcome, reason holdfast.Reason, words ...string) {
	t.Helper()
	if o.Outcome != outcome || o.Reason != reason {
		t.Errorf("got %s %q (%s), want %s %q", o.Outcome, o.Reason, o.Summary, outcome, reason)
	}
	for _, w := range words {
		if !strings.Contains(o.Summary, w) {
			t.Errorf("summary is %q, want it to say %q", o.Summary, w)
		}
	}
}

func measure(t testing.TB, o probe.Observation, name string) float64 {
	t.Helper()
	for _, m := range o.Measures {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no measure %q among %v", name, o.Measures)
	return 0
}

// archives are the formats, each whole.
func archives(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"a.tar": tarred(t), "a.tar.gz": gzipped(t, tarred(t)), "a.tgz": gzipped(t, tarred(t)),
		"a.tar.zst": zstded(t, tarred(t), true), "a.zip": zipped(t, zip.Deflate), "stored.zip": zipped(t, zip.Store),
		"a.sql.gz": gzipped(t, members()["data/noise"]), "a.sql.zst": zstded(t, members()["data/noise"], true),
		"a.pdf": members()["data/noise"], "A.TAR.GZ": gzipped(t, tarred(t)),
	}
}

func TestFormats(t *testing.T) {
	for name, content := range archives(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, name, content, 1)
			o := observe(t, dir)
			wantOutcome(t, o, holdfast.OK, "", name)
			wantFiles, wantBytes := int64(3), holdfast.Bytes(membersBytes)
			if strings.Contains(name, ".sql") || name == "a.pdf" {
				wantFiles, wantBytes = 1, 40_000
			}
			want := holdfast.RecoveryPoint{Time: began.Add(time.Hour).UTC(), ID: name, Bytes: wantBytes, Files: wantFiles}
			if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0] != want {
				t.Errorf("recovery points: got %+v, want %+v", o.RecoveryPoints, want)
			}
			verifiable := name != "a.tar" && name != "a.pdf"
			if got := o.Verification != nil; got != verifiable {
				t.Errorf("verification without a manifest: got %+v, want one: %t", o.Verification, verifiable)
			}
			put(t, dir, "SHA256SUMS", sums(t, dir, name), 2)
			o = observe(t, dir, "manifest", "SHA256SUMS")
			wantOutcome(t, o, holdfast.OK, "", "as in the manifest")
			if v := o.Verification; v == nil || v.Scope != 1 || v.Errors != 0 || time.Since(v.Time) > time.Minute {
				t.Errorf("verification with a manifest: got %+v, want one of everything now", v)
			}
		})
	}
}

// TestFormatByContent has archives whose name does not say what they are.
func TestFormatByContent(t *testing.T) {
	for want, content := range map[string][]byte{
		"tar": tarred(t), "gzip": gzipped(t, []byte("x")), "zstd": zstded(t, []byte("x"), true), "zip": zipped(t, zip.Deflate), "plain": []byte("x"),
	} {
		dir := t.TempDir()
		put(t, dir, "backup", content, 1)
		o := observe(t, dir)
		wantOutcome(t, o, holdfast.OK, "")
		if got := o.Facts["format"]; got != want {
			t.Errorf("format: got %q, want %q", got, want)
		}
	}
}

// TestZstdWithoutChecksum claims nothing that was not compared.
func TestZstdWithoutChecksum(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.zst", zstded(t, members()["data/noise"], false), 1)
	o := observe(t, dir)
	wantOutcome(t, o, holdfast.OK, "", "nothing to compare with")
	if o.Verification != nil {
		t.Errorf("verification: got %+v, want none", o.Verification)
	}
}

// TestDamageWithManifest flips one bit anywhere: the sum always tells.
func TestDamageWithManifest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, content := range archives(t) {
		dir := t.TempDir()
		put(t, dir, name, content, 1)
		put(t, dir, "SHA256SUMS", sums(t, dir, name), 2)
		for range 8 {
			broken := bytes.Clone(content)
			at := random.IntN(len(broken))
			broken[at] ^= 1 << random.IntN(8)
			put(t, dir, name, broken, 1)
			o := observe(t, dir, "manifest", "SHA256SUMS")
			if o.Reason != holdfast.Damaged {
				t.Errorf("%s with a flip at %d of %d:", name, at, len(content))
			}
			wantOutcome(t, o, holdfast.Failed, holdfast.Damaged, name)
			if o.Verification == nil || o.Verification.Errors != 1 || len(o.RecoveryPoints) != 0 {
				t.Errorf("%s: got %+v and %v, want an error and no recovery point", name, o.Verification, o.RecoveryPoints)
			}
		}
	}
}

// TestDamageWithoutManifest damages what the formats themselves can tell.
func TestDamageWithoutManifest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for name, content := range archives(t) {
		if name == "a.pdf" {
			continue // says nothing about itself
		}
		broken := map[string][]byte{}
		header := bytes.Clone(content)
		copy(header, make([]byte, 16))
		broken["header"] = header
		for range 10 {
			cut := 1 + random.IntN(len(content)-1)
			broken[fmt.Sprintf("cut at %d of %d", cut, len(content))] = content[:cut]
		}
		if name != "a.tar" { // has sums of its headers only
			for range 10 {
				at := len(content)/10 + random.IntN(len(content)*8/10)
				middle := bytes.Clone(content)
				for i := range 64 {
					middle[min(at+i, len(content)*9/10)] ^= 0xa5
				}
				broken[fmt.Sprintf("middle at %d of %d", at, len(content))] = middle
			}
		}
		if name == "a.tar" {
			delete(broken, "header")
			torn := bytes.Clone(content)
			torn[512+148] ^= 0x7 // the second member's header sum
			broken["header sum"] = torn
			tail := len(content) - len(bytes.TrimRight(content, "\x00"))
			for what := range broken { // a cut in the padding behind the end mark loses nothing
				var cut, size int
				if n, _ := fmt.Sscanf(what, "cut at %d of %d", &cut, &size); n == 2 && size-cut < tail {
					delete(broken, what)
				}
			}
		}
		for what, content := range broken {
			dir := t.TempDir()
			put(t, dir, name, content, 1)
			o := observe(t, dir)
			if o.Outcome != holdfast.Failed || o.Reason != holdfast.Damaged {
				t.Errorf("%s, %s: got %s %q (%s), want failed damaged", name, what, o.Outcome, o.Reason, o.Summary)
			}
		}
	}
}

// TestTarCutBetweenMembers is the damage a tar reader takes for the end.
func TestTarCutBetweenMembers(t *testing.T) {
	whole := tarred(t)
	for _, blocks := range []int{1, 2, 4} { // after the directory, the empty file, the greeting
		for name, content := range map[string][]byte{"a.tar": whole[:blocks*512], "a.tar.gz": gzipped(t, whole[:blocks*512])} {
			dir := t.TempDir()
			put(t, dir, name, content, 1)
			wantOutcome(t, observe(t, dir), holdfast.Failed, holdfast.Damaged, "unexpected EOF")
		}
	}
}

// TestEmptyArchives are what a backup leaves whose source was not there.
func TestEmptyArchives(t *testing.T) {
	var emptyTar, emptyZip, onlyDir bytes.Buffer
	must(t, tar.NewWriter(&emptyTar).Close())
	must(t, zip.NewWriter(&emptyZip).Close())
	w := tar.NewWriter(&onlyDir)
	must(t, w.WriteHeader(&tar.Header{Name: "data/", Typeflag: tar.TypeDir}))
	must(t, w.Close())
	for name, content := range map[string][]byte{
		"a.sql": nil, "a.tar": emptyTar.Bytes(), "b.tar": onlyDir.Bytes(), "a.zip": emptyZip.Bytes(),
		"a.sql.gz": gzipped(t, nil), "a.sql.zst": zstded(t, nil, true), "a.tar.gz": gzipped(t, nil), "b.tar.gz": gzipped(t, emptyTar.Bytes()),
	} {
		dir := t.TempDir()
		put(t, dir, "older"+filepath.Ext(name), []byte("older"), 0)
		put(t, dir, name, content, 1)
		o := observe(t, dir)
		wantOutcome(t, o, holdfast.Failed, holdfast.Empty, name)
		if len(o.RecoveryPoints) != 1 {
			t.Errorf("%s: got recovery points %v, want the older one alone", name, o.RecoveryPoints)
		}
	}
}

// TestOpaque: what cannot be judged here is neither good nor bad.
func TestOpaque(t *testing.T) {
	encrypted := zipped(t, zip.Store)
	for _, mark := range []string{"PK\x03\x04", "PK\x01\x02"} {
		flags := map[string]int{"PK\x03\x04": 6, "PK\x01\x02": 8}[mark]
		for at := 0; ; {
			i := bytes.Index(encrypted[at:], []byte(mark))
			if i < 0 {
				break
			}
			encrypted[at+i+flags] |= 1
			at += i + 4
		}
	}
	unknown := zipped(t, zip.Store)
	for at := bytes.Index(unknown, []byte("PK\x01\x02")); at >= 0 && at < len(unknown); {
		unknown[at+10] = 99
		next := bytes.Index(unknown[at+4:], []byte("PK\x01\x02"))
		if next < 0 {
			break
		}
		at += 4 + next
	}
	for what, content := range map[string][]byte{"encrypted": encrypted, "packed in an unknown way": unknown, "table of contents": hugeZip()} {
		dir := t.TempDir()
		put(t, dir, "a.zip", content, 1)
		o := observe(t, dir)
		wantOutcome(t, o, holdfast.OK, "", "not judged", what)
		if o.Verification != nil || o.RecoveryPoints[0].Bytes != 0 {
			t.Errorf("%s: got %+v of %v, want no verification and no size", what, o.Verification, o.RecoveryPoints)
		}
		put(t, dir, "SHA256SUMS", sums(t, dir, "a.zip"), 2)
		o = observe(t, dir, "manifest", "SHA256SUMS")
		wantOutcome(t, o, holdfast.OK, "", "as in the manifest", "not judged")
		if o.Verification == nil {
			t.Errorf("%s: no verification, want one by the manifest", what)
		}
	}
}

// hugeZip has a table of contents of 40 MiB, one member after the other.
func hugeZip() []byte {
	entry := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	name := strings.Repeat("x", 60_000)
	entry[28], entry[29] = byte(len(name)&0xff), byte(len(name)>>8)
	entry = append(entry, name...)
	n := (40 << 20) / len(entry)
	table := bytes.Repeat(entry, n)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	for _, at := range []int{8, 10} {
		end[at], end[at+1] = byte(n), byte(n>>8)
	}
	for i := range 4 {
		end[12+i] = byte(len(table) >> (8 * i))
	}
	return append(table, end...)
}

// TestBomb unpacks a thousand times what it reads, in bounded memory.
func TestBomb(t *testing.T) {
	dir := t.TempDir()
	const size = 16 << 20
	f, err := os.Create(filepath.Join(dir, "a.gz"))
	must(t, err)
	w, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	must(t, err)
	_, err = io.CopyN(w, zeros{}, size)
	must(t, err)
	must(t, w.Close())
	must(t, f.Close())
	must(t, os.Chtimes(filepath.Join(dir, "a.gz"), began, began))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o := observe(t, dir)
	runtime.ReadMemStats(&after)
	wantOutcome(t, o, holdfast.OK, "")
	if got := measure(t, o, "content_bytes"); got != size {
		t.Errorf("content_bytes: got %v, want %v", got, size)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("reading %d bytes took %d of memory, want at most 1 MiB", size, got)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
