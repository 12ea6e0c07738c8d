package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/store"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// filled makes a store with something in every bucket and returns an image of its
// file and what dump says of it.
func filled(t testing.TB, batches uint64) (file []byte, content []string) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	ctx := t.Context()
	for n := range batches {
		if err := s.Commit(ctx, numbered(n+1)); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("name-", n)
		_, record := s.AppendRecord(ctx, holdfast.Record{At: day, By: name, Note: "a note"})
		_, agent := s.UpdateAgent(ctx, name, func(id *holdfast.AgentIdentity) error { id.Serial = name; return nil })
		secret := s.PutSecret(ctx, holdfast.Secret{Kind: "join", Hash: name, Subject: name})
		catalogue := s.PutCatalogue(ctx, store.AcceptedCatalogue{At: day, Hash: name, Files: map[string][]byte{"a.yaml": []byte(name), "b.yaml": []byte("same")}})
		document := s.PutDocuments(ctx, []store.Document{{DocumentKey: store.DocumentKey{Kind: "alert", Name: name}, Value: []byte("a document")}})
		if err := errors.Join(record, agent, secret, catalogue, document); err != nil {
			t.Fatal(err)
		}
	}
	content, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	// An image ends with the last page in use, the file with sixteen empty megabytes.
	var image bytes.Buffer
	if err := s.Backup(t.Context(), &image); err != nil {
		t.Fatal(err)
	}
	return image.Bytes(), content
}

// dump reads everything in the store, one line a record, up to the first error.
func dump(s *bolt.Store) (lines []string, err error) {
	ctx := backgroundCtx
	for _, seq := range []iter.Seq2[string, error]{
		printed(s.AgentReports(ctx)), printed(s.Histories(ctx)),
		printed(s.Transitions(ctx, "", store.Window{})), printed(s.Transitions(ctx, "payments", store.Window{})),
		printed(s.Observed(ctx, "", store.Window{})), printed(s.Observed(ctx, "c", store.Window{})),
		printed(s.Records(ctx)), printed(s.Agents(ctx)), printed(s.Secrets(ctx, "join")), printed(s.Catalogues(ctx)), printed(s.Documents(ctx, "alert")),
	} {
		for line, err := range seq {
			if err != nil {
				return lines, err
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func printed[T any](seq iter.Seq2[T, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for v, err := range seq {
			if !yield(fmt.Sprintf("%T %+v", v, v), err) {
				return
			}
		}
	}
}

// openImage puts a file's content into a folder of its own and opens it.
func openImage(t testing.TB, file []byte) (*bolt.Store, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, bolt.FileName), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return bolt.Open(dir, bolt.Options{})
}

// readImage opens and reads everything, and returns what was read and the first
// error.
func readImage(t testing.TB, file []byte) ([]string, error) {
	t.Helper()
	s, err := openImage(t, file)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return dump(s)
}

// checkDamage says whether a damaged image was treated as it should be: an error
// that names a place and the way back, or everything there as it was.
func checkDamage(what string, got, want []string, err error) error {
	if err == nil {
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			return fmt.Errorf("%s: got other content and no error", what)
		}
		return nil
	}
	var damage *store.DamageError
	if !errors.As(err, &damage) || damage.Place == "" || damage.Problem == "" || !strings.Contains(err.Error(), "holdfast collector restore FILE") {
		return fmt.Errorf("%s: got %v, want a DamageError with the way back", what, err)
	}
	return nil
}

// TestFlippedRecords flips single bits of stored keys and values. Every flip is
// found by reading, and the error names the bucket.
func TestFlippedRecords(t *testing.T) {
	t.Parallel()
	const seed, flips = 2, 1000
	file, _ := filled(t, 12)
	s, err := openImage(t, file)
	if err != nil {
		t.Fatal(err)
	}
	places, err := bolt.Places(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	random := rand.New(rand.NewPCG(seed, seed))
	seen := map[string]int{}
	dir := t.TempDir()
	for range flips {
		p := places[random.IntN(len(places))]
		at := bytes.Index(file, p.Bytes)
		if at < 0 || len(p.Bytes) == 0 {
			t.Fatalf("a record of %s is not in the file", p.Bucket)
		}
		bit := random.IntN(8 * len(p.Bytes))
		damaged := bytes.Clone(file)
		// Pages no longer in use may hold the same bytes: each copy is hit.
		for ; at >= 0; at = indexFrom(damaged, p.Bytes, at+1) {
			damaged[at+bit/8] ^= 1 << (bit % 8)
		}
		if err := os.WriteFile(filepath.Join(dir, bolt.FileName), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := bolt.Open(dir, bolt.Options{})
		if err == nil {
			_, err = dump(s)
			s.Close()
		}
		var damage *store.DamageError
		if !errors.As(err, &damage) {
			t.Errorf("bit %d of a %s in %s: got %v, want a DamageError", bit, p.Part, p.Bucket, err)
			continue
		}
		if !strings.Contains(damage.Place, p.Bucket) {
			t.Errorf("bit %d of a %s in %s: got %v, want the bucket named", bit, p.Part, p.Bucket, err)
		}
		seen[p.Bucket]++
	}
	t.Logf("seed %d: found in %v", seed, seen)
}

func indexFrom(b, part []byte, from int) int {
	if at := bytes.Index(b[from:], part); at >= 0 {
		return from + at
	}
	return -1
}

// TestZeroedPages wipes one page after another.
func TestZeroedPages(t *testing.T) {
	t.Parallel()
	file, want := filled(t, 12)
	found := 0
	for at := 0; at < len(file); at += 4096 {
		damaged := bytes.Clone(file)
		clear(damaged[at : at+4096])
		got, err := readImage(t, damaged)
		if err != nil {
			found++
		}
		if err := checkDamage(fmt.Sprintf("page %d", at/4096), got, want, err); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d pages missed, the rest were not in use", found, len(file)/4096)
}

// TestTruncated cuts the file at every page and within pages.
func TestTruncated(t *testing.T) {
	t.Parallel()
	file, want := filled(t, 12)
	for size := 0; size < len(file); size += 1777 {
		got, err := readImage(t, file[:size])
		if err := checkDamage(fmt.Sprintf("cut to %d of %d bytes", size, len(file)), got, want, err); err != nil {
			t.Error(err)
		}
	}
}

// TestTruncatedWhileOpen cuts the file under a running store: the next read of
// what is gone is a memory fault, and becomes an error.
func TestTruncatedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for n := range uint64(20) {
		if err := s.Commit(t.Context(), numbered(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, bolt.FileName), 8192); err != nil {
		t.Fatal(err)
	}
	_, err := dump(s)
	if err := checkDamage("read", nil, []string{"something"}, err); err != nil {
		t.Error(err)
	}
	err = s.Commit(t.Context(), numbered(21))
	if err := checkDamage("commit", nil, []string{"something"}, err); err != nil {
		t.Error(err)
	}
	if again := s.Commit(t.Context(), numbered(21)); !errors.Is(again, store.ErrDamaged) {
		t.Errorf("commit again: got %v, want ErrDamaged", again)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFlipsAnywhere flips bits in the pages bbolt keeps its own books in too. No
// flip may crash the program or change a record. (bbolt's books carry no checksum:
// one that loses a record from sight cannot be found here, and is counted.)
func TestFlipsAnywhere(t *testing.T) {
	t.Parallel()
	const seed, flips = 3, 300
	file, want := filled(t, 12)
	known := map[string]bool{}
	for _, line := range want {
		known[line] = true
	}
	random := rand.New(rand.NewPCG(seed, seed))
	found, unseen := 0, 0
	for range flips {
		damaged := bytes.Clone(file)
		at := random.IntN(8 * len(damaged))
		damaged[at/8] ^= 1 << (at % 8)
		got, err := readImage(t, damaged)
		for _, line := range got {
			if !known[line] {
				t.Errorf("bit %d: got a record that was never written: %.200s", at, line)
			}
		}
		switch {
		case err != nil:
			found++
			if err := checkDamage(fmt.Sprintf("bit %d", at), got, want, err); err != nil {
				t.Error(err)
			}
		case len(got) != len(want):
			unseen++
		}
	}
	t.Logf("seed %d: of %d flips %d found, %d lost records from sight, the rest hit nothing", seed, flips, found, unseen)
}

// TestDamagedReportReplaced shows that one damaged report does not keep its agent,
// and every other, from reporting.
func TestDamagedReportReplaced(t *testing.T) {
	file, _ := filled(t, 1)
	at := bytes.Index(file, numbered(1).Reports[0].Hot)
	for ; at >= 0; at = indexFrom(file, numbered(1).Reports[0].Hot, at+1) {
		file[at] ^= 1
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, bolt.FileName), file, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := openWith(t, dir, bolt.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := lastNumber(s); !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("got %v, want ErrDamaged", err)
	}
	if err := s.Commit(t.Context(), numbered(2)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "agent=db1") {
		t.Errorf("log: got %q, want the agent named", &log)
	}
}
