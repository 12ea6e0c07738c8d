// Package manifest reads the backup_manifest of a base backup, which names every
// file with its size and, as a rule, a checksum (PostgreSQL documentation, "Backup
// Manifest Format").
package manifest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Manifest is what a manifest says. The zero Manifest stands for none.
type Manifest struct {
	Files  map[string]File // by path; nil: there is no manifest
	Ranges []Range
	Bytes  int64     // of all files
	Newest time.Time // the last change of any file

	summed int64 // bytes that have a checksum
}

// File is one file of the backup.
type File struct {
	Size      int64
	Algorithm string // "" where it has no checksum
	Sum       string // as SumOf writes it
}

// Range is a part of the log that the backup cannot be started without.
type Range struct {
	Timeline int64  `json:"Timeline"`
	Start    string `json:"Start-LSN"`
	End      string `json:"End-LSN"`
}

// sizeMax bounds a manifest, which is held in memory: a million files or so.
const sizeMax = 256 << 20

// Read reads a manifest and checks its own checksum. The fault is damaged; an error
// that it is not there stays one.
func Read(path string) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, sizeMax+1))
	if err != nil {
		return Manifest{}, err
	}
	if len(raw) > sizeMax {
		return Manifest{}, fmt.Errorf("a manifest of more than %d MiB", sizeMax>>20)
	}
	m, err := parse(raw)
	if err != nil {
		return Manifest{}, probe.Faulty(holdfast.Damaged, "%s is damaged: %v", path, err)
	}
	return m, nil
}

func parse(raw []byte) (Manifest, error) {
	var form struct {
		Files []struct {
			Path, Checksum string
			Encoded        string `json:"Encoded-Path"`
			Size           int64  `json:"Size"`
			Modified       string `json:"Last-Modified"`
			Algorithm      string `json:"Checksum-Algorithm"`
		}
		Ranges []Range `json:"WAL-Ranges"`
		Sum    string  `json:"Manifest-Checksum"`
	}
	// The checksum is of all that stands before the line it is in.
	at := bytes.LastIndex(raw, []byte("\"Manifest-Checksum\""))
	if at < 0 {
		return Manifest{}, fmt.Errorf("it has no checksum of its own")
	}
	if err := json.Unmarshal(raw, &form); err != nil {
		return Manifest{}, err
	}
	if sum := sha256.Sum256(raw[:at]); hex.EncodeToString(sum[:]) != form.Sum {
		return Manifest{}, fmt.Errorf("its checksum differs")
	}
	m := Manifest{Files: make(map[string]File, len(form.Files)), Ranges: form.Ranges}
	for _, f := range form.Files {
		name := f.Path
		if f.Encoded != "" { // a name that is not UTF-8
			b, err := hex.DecodeString(f.Encoded)
			if err != nil {
				return Manifest{}, err
			}
			name = string(b)
		}
		m.Files[name] = File{f.Size, f.Algorithm, f.Checksum}
		m.Bytes += f.Size
		if f.Algorithm != "" {
			m.summed += f.Size
		}
		changed, err := time.Parse("2006-01-02 15:04:05 GMT", f.Modified)
		if err != nil {
			return Manifest{}, err
		}
		if changed.After(m.Newest) {
			m.Newest = changed
		}
	}
	return m, nil
}

// Scope is the share of the bytes that have a checksum.
func (m Manifest) Scope() float64 {
	if m.Bytes == 0 {
		return 0
	}
	return float64(m.summed) / float64(m.Bytes)
}

// Hasher returns the checksum of an algorithm, nil for one that is not known.
func Hasher(algorithm string) hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "SHA224":
		return sha256.New224()
	case "SHA256":
		return sha256.New()
	case "SHA384":
		return sha512.New384()
	case "SHA512":
		return sha512.New()
	}
	return nil
}

// SumOf writes a checksum as the manifest does: CRC-32C has its lowest byte first.
func SumOf(algorithm string, h hash.Hash) string {
	sum := h.Sum(nil)
	if strings.EqualFold(algorithm, "CRC32C") {
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	return hex.EncodeToString(sum)
}
