package restic

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// sampleFiles bounds a sample: each of its files is read from the repository a
// second time by a call of its own.
const sampleFiles = 64

// sample picks whole files of a snapshot too large to restore: those whose path
// hashed with the seed comes first, as long as they fit.
type sample struct {
	seed  string
	max   int64
	first []ranked // at most sampleFiles, by rank
}

type ranked struct {
	rank uint64
	node node
}

func newSample(seed string, max holdfast.Bytes) *sample {
	return &sample{seed: seed, max: int64(max)}
}

// offer considers an entry. Memory stays the same however many there are.
func (s *sample) offer(n node) {
	if n.Type != "file" || n.Size == 0 || n.Size > s.max {
		return
	}
	r := ranked{hashOf(s.seed, n.Path), n}
	at, _ := slices.BinarySearchFunc(s.first, r, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	if at == sampleFiles {
		return
	}
	s.first = slices.Insert(s.first, at, r)
	s.first = s.first[:min(sampleFiles, len(s.first))]
}

// picked returns the files of the sample, together not larger than its limit.
func (s *sample) picked() []node {
	var nodes []node
	left := s.max
	for _, r := range s.first {
		if r.node.Size <= left {
			nodes = append(nodes, r.node)
			left -= r.node.Size
		}
	}
	return nodes
}

// hashOf ranks a name under a seed: the first eight bytes of SHA-256 of both.
func hashOf(seed, name string) uint64 {
	sum := sha256.Sum256([]byte(seed + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}
