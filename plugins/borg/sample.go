package borg

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// sampleFiles bounds a sample: each of its files is read from the repository a
// second time by a call of its own.
const sampleFiles = 64

// sample picks whole files of an archive too large to restore: those whose path
// hashed with the seed comes first, as long as they fit.
type sample struct {
	seed  string
	max   int64
	first []ranked // at most sampleFiles, by rank
}

type ranked struct {
	rank uint64
	item item
}

func newSample(seed string, max holdfast.Bytes) *sample {
	return &sample{seed: seed, max: int64(max)}
}

// offer considers an entry. Memory stays the same however many there are. A hard
// link has no content of its own, and a question mark may stand for a byte that
// is not text, so that the file cannot be named.
func (s *sample) offer(it item) {
	if it.Type != "-" || it.Source != "" || it.Size == 0 || it.Size > s.max || strings.ContainsAny(it.Path, "?\uFFFD") {
		return
	}
	r := ranked{hashOf(s.seed, it.Path), it}
	at, _ := slices.BinarySearchFunc(s.first, r, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	if at == sampleFiles {
		return
	}
	s.first = slices.Insert(s.first, at, r)
	s.first = s.first[:min(sampleFiles, len(s.first))]
}

// picked returns the files of the sample, together not larger than its limit.
func (s *sample) picked() []item {
	var items []item
	left := s.max
	for _, r := range s.first {
		if r.item.Size <= left {
			items = append(items, r.item)
			left -= r.item.Size
		}
	}
	return items
}

// hashOf ranks a name under a seed: the first eight bytes of SHA-256 of both.
func hashOf(seed, name string) uint64 {
	sum := sha256.Sum256([]byte(seed + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}

// choose picks one of n by a seed, so that a person can pick the same again.
func choose(seed string, n int) int {
	return int(hashOf(seed, "archive") % uint64(n))
}
