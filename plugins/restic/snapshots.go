package restic

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// describe starts an observation with what every probe here knows: the tool's
// version, and that a restic repository is always encrypted.
func (r *repository) describe(ctx context.Context) (probe.Observation, error) {
	out, err := probe.Run(ctx, probe.Command{Path: r.path, Args: []string{"version"}, Env: []string{"HOME=/nonexistent"}})
	if err != nil {
		return probe.Observation{}, err
	}
	version, err := parseVersion(out.Stdout)
	if err != nil {
		return probe.Observation{}, probe.Unable(holdfast.ToolMissing, "%s: %w", r.path, err)
	}
	encrypted := true
	return probe.Observation{
		Outcome:     holdfast.OK,
		Encrypted:   &encrypted,
		Fingerprint: map[string]string{"tool": "restic " + majorMinor(version)},
		Facts:       map[string]string{"version": version},
	}, nil
}

// identity tells a repository from another that takes its place: the digest of its
// config, which is made with it and sealed under its own key. "" where it lies
// elsewhere: another call of the tool would cost more than it is worth.
func (r *repository) identity() string {
	if !r.local() {
		return ""
	}
	f, err := os.Open(filepath.Join(r.Repository, "config"))
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, 64<<10)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// snapshots lists the snapshots the settings mean, newest first. The fault is
// empty, no-match, or damaged where a snapshot file cannot be read; then the
// others are listed with it.
func (r *repository) snapshots(ctx context.Context) ([]snapshot, error) {
	out, err := r.call(ctx, "snapshots", "--json")
	if err != nil {
		return nil, err
	}
	all, err := parseSnapshots(out.Stdout)
	if err != nil {
		return nil, probe.Unable("", "%w", err)
	}
	meant := slices.DeleteFunc(slices.Clone(all), func(s snapshot) bool { return !r.means(s) })
	slices.SortFunc(meant, func(a, b snapshot) int {
		if c := b.at().Compare(a.at()); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	// A snapshot that cannot be read is left out with exit code 0: only standard
	// error tells.
	lines := said(out.Stderr)
	switch {
	case reasonOf(lines) == holdfast.Damaged:
		return meant, &probe.Fault{Reason: holdfast.Damaged, Text: headline(lines), Raw: string(out.Stderr)}
	case len(all) == 0:
		return nil, probe.Faulty(holdfast.Empty, "the repository holds no snapshot")
	case len(meant) == 0:
		return nil, probe.Faulty(holdfast.NoMatch, "none of %d snapshots matches %s; the newest is of host %s, paths %s, tags %s",
			len(all), r.filters(), all[len(all)-1].Hostname, all[len(all)-1].Paths, all[len(all)-1].Tags)
	}
	return meant, nil
}

// filters writes the settings that choose snapshots.
func (r *repository) filters() string {
	var parts []string
	for _, f := range []struct{ name, value string }{{"host", r.Host}, {"path", r.Path}, {"tag", r.Tag}} {
		if f.value != "" {
			parts = append(parts, fmt.Sprintf("%s %q", f.name, f.value))
		}
	}
	return strings.Join(parts, ", ")
}
