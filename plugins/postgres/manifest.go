package postgres

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

// manifest is a backup_manifest (PostgreSQL documentation, "Backup Manifest
// Format").
type manifest struct {
	files  map[string]manifestFile // by path; nil: there is no manifest
	ranges []walRange
	bytes  int64
	summed int64     // bytes that have a checksum
	newest time.Time // the last change of any file
}

type manifestFile struct {
	size      int64
	algorithm string // "" where it has no checksum
	sum       string
}

// walRange is a part of the log that the backup cannot be started without.
type walRange struct {
	Timeline int64  `json:"Timeline"`
	Start    string `json:"Start-LSN"`
	End      string `json:"End-LSN"`
}

// manifestMax bounds a manifest, which is held in memory: a million files or so.
const manifestMax = 256 << 20

// readManifest reads a manifest and checks its own checksum. The fault is damaged.
func readManifest(path string) (manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, manifestMax+1))
	if err != nil {
		return manifest{}, err
	}
	if len(raw) > manifestMax {
		return manifest{}, fmt.Errorf("a manifest of more than %d MiB", manifestMax>>20)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return manifest{}, probe.Faulty(holdfast.Damaged, "%s is damaged: %v", path, err)
	}
	return m, nil
}

func parseManifest(raw []byte) (manifest, error) {
	var form struct {
		Files []struct {
			Path, Checksum string
			Encoded        string `json:"Encoded-Path"`
			Size           int64  `json:"Size"`
			Modified       string `json:"Last-Modified"`
			Algorithm      string `json:"Checksum-Algorithm"`
		}
		Ranges []walRange `json:"WAL-Ranges"`
		Sum    string     `json:"Manifest-Checksum"`
	}
	// The checksum is of all that stands before the line it is in.
	at := bytes.LastIndex(raw, []byte("\"Manifest-Checksum\""))
	if at < 0 {
		return manifest{}, fmt.Errorf("it has no checksum of its own")
	}
	if err := json.Unmarshal(raw, &form); err != nil {
		return manifest{}, err
	}
	if sum := sha256.Sum256(raw[:at]); hex.EncodeToString(sum[:]) != form.Sum {
		return manifest{}, fmt.Errorf("its checksum differs")
	}
	m := manifest{files: make(map[string]manifestFile, len(form.Files)), ranges: form.Ranges}
	for _, f := range form.Files {
		name := f.Path
		if f.Encoded != "" { // a name that is not UTF-8
			b, err := hex.DecodeString(f.Encoded)
			if err != nil {
				return manifest{}, err
			}
			name = string(b)
		}
		m.files[name] = manifestFile{f.Size, f.Algorithm, f.Checksum}
		m.bytes += f.Size
		if f.Algorithm != "" {
			m.summed += f.Size
		}
		changed, err := time.Parse("2006-01-02 15:04:05 GMT", f.Modified)
		if err != nil {
			return manifest{}, err
		}
		if changed.After(m.newest) {
			m.newest = changed
		}
	}
	return m, nil
}

// scope is the share of the bytes that have a checksum.
func (m manifest) scope() float64 {
	if m.bytes == 0 {
		return 0
	}
	return float64(m.summed) / float64(m.bytes)
}

// hasher returns the checksum of an algorithm, nil for one that is not known.
func hasher(algorithm string) hash.Hash {
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

// sumOf writes a checksum as the manifest does: CRC-32C has its lowest byte first.
func sumOf(algorithm string, h hash.Hash) string {
	sum := h.Sum(nil)
	if strings.EqualFold(algorithm, "CRC32C") {
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	return hex.EncodeToString(sum)
}
