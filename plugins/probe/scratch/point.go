package scratch

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Seed is what chance decided: whoever knows it can choose the same again.
type Seed string

// NewSeed draws a seed.
func NewSeed() Seed { return Seed(rand.Text()) }

// rank orders names by chance: the first eight bytes of SHA-256 of seed and name.
func (s Seed) rank(name string) uint64 {
	sum := sha256.Sum256([]byte(string(s) + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}

// Pick chooses one of n recovery points, of which number 0 is the latest. A choice by
// chance tells its seed in facts.
func (o Options) Pick(seed Seed, n int, facts map[string]string) int {
	if o.Point != "random" {
		return 0
	}
	facts["seed"] = string(seed)
	return int(seed.rank("point") % uint64(n))
}

// Sampling is Options of a restore that may be of a part.
type Sampling struct {
	Options
	TargetBytesMax holdfast.Bytes `json:"target_bytes_max,omitempty" jsonschema:"restore at most this much: of a larger backup a sample of whole files"`
}

// Validate reports what is wrong with the settings, all at once.
func (s Sampling) Validate() error {
	err := s.Options.Validate()
	if s.TargetBytesMax < 0 {
		err = errors.Join(err, errors.New(`setting "target_bytes_max": it is negative`))
	}
	return err
}

// Exceeded reports whether a backup of so many bytes is restored in part.
func (s Sampling) Exceeded(bytes int64) bool {
	return s.TargetBytesMax > 0 && bytes > int64(s.TargetBytesMax)
}

// sampleFiles bounds a sample: each of its files is read from the backup a second
// time by a call of its own.
const sampleFiles = 64

// Sample picks whole files of a backup too large to restore: those whose path ranks
// first by the seed, as long as they fit.
type Sample[T any] struct {
	seed  Seed
	max   int64
	first []ranked[T] // at most sampleFiles, by rank
}

type ranked[T any] struct {
	rank uint64
	size int64
	file T
}

// NewSample begins a sample of at most max bytes.
func NewSample[T any](seed Seed, max holdfast.Bytes) *Sample[T] {
	return &Sample[T]{seed: seed, max: int64(max)}
}

// Offer considers a file. Memory stays the same however many there are.
func (s *Sample[T]) Offer(path string, size int64, file T) {
	if size == 0 || size > s.max {
		return
	}
	r := ranked[T]{s.seed.rank(path), size, file}
	at, _ := slices.BinarySearchFunc(s.first, r, func(a, b ranked[T]) int { return cmp.Compare(a.rank, b.rank) })
	if at == sampleFiles {
		return
	}
	s.first = slices.Insert(s.first, at, r)
	s.first = s.first[:min(sampleFiles, len(s.first))]
}

// Picked returns the files of the sample and what they hold, together not more than
// its limit.
func (s *Sample[T]) Picked() (files []T, holds Tally) {
	for _, r := range s.first {
		if holds.Bytes+r.size <= s.max {
			files = append(files, r.file)
			holds.Add("file", r.size)
		}
	}
	holds.OnceBytes = holds.Bytes
	return files, holds
}
