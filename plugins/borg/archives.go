package borg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/scratch"
)

// describe starts an observation with what every probe here knows.
func (l *look) describe(ctx context.Context) (probe.Observation, error) {
	if l.version == "" {
		out, err := probe.Run(ctx, probe.Command{Path: l.path, Args: []string{"--version"}, Env: l.env()})
		if err != nil {
			return probe.Observation{}, err
		}
		if l.version, err = parseVersion(out.Stdout); err != nil {
			return probe.Observation{}, probe.Unable(holdfast.ToolMissing, "%s: %w", l.path, err)
		}
	}
	return probe.Observation{
		Outcome:     holdfast.OK,
		Fingerprint: map[string]string{"tool": "borg " + majorMinor(l.version)},
		Facts:       map[string]string{"version": l.version},
	}, nil
}

// archives lists the archives the settings mean, newest first, and notes the mode
// of encryption in o. The fault is empty, no-match, or what the tool names.
func (l *look) archives(ctx context.Context, o *probe.Observation) ([]archive, error) {
	res, err := l.call(ctx, "list", "--json", "--", l.repo())
	if err != nil {
		return nil, err
	}
	all, err := parseList(res.Stdout)
	if err != nil {
		return nil, probe.Unable("", "%w", err)
	}
	sealed := all.encrypted()
	o.Encrypted = &sealed
	o.Facts["encryption"] = all.Encryption.Mode
	if id := all.Repository.ID; id != "" {
		o.Fingerprint[holdfast.PartRepository] = probe.Clip(id, holdfast.MaxText)
	}
	sorted := sortArchives(all.Archives)
	var meant []archive
	for _, a := range sorted {
		if l.means(a) {
			meant = append(meant, a)
		}
	}
	switch {
	case len(sorted) == 0:
		return nil, probe.Faulty(holdfast.Empty, "the repository holds no archive; checkpoints of unfinished backups: %d", len(all.Archives))
	case len(meant) == 0:
		return nil, probe.Faulty(holdfast.NoMatch, "none of %d archives matches %q; the newest is %.100q", len(sorted), l.Archives, sorted[0].Name)
	}
	return meant, nil
}

// described reads the metadata of archives, which list alone does not, and returns
// the IDs of those that can be opened. The fault is that of the first that cannot.
func (l *look) described(ctx context.Context, tried []archive) (map[string]bool, error) {
	// One call reads the newest, as long as nothing is wrong.
	good, err := l.metadata(ctx, "--glob-archives="+braces.Replace(cmp.Or(l.Archives, "*")), fmt.Sprintf("--last=%d", candidates))
	if err != nil && !damaged(err) {
		return nil, err
	}
	var broken error
	for _, a := range tried {
		if good[a.ID] {
			continue
		}
		one, err := l.metadata(ctx, "--glob-archives="+literal(a.Name))
		var f *probe.Fault
		switch {
		case errors.As(err, &f) && damaged(f):
			f.Text = fmt.Sprintf("%s cannot be opened: %s", a, f.Text)
			broken = cmp.Or(broken, error(f))
		case err != nil:
			return nil, err
		case !one[a.ID]:
			return nil, probe.Unable("", "borg list does not find %s, which it listed", a)
		default:
			good[a.ID] = true
		}
	}
	return good, broken
}

// metadata opens the archives that arguments of list choose.
func (l *look) metadata(ctx context.Context, which ...string) (map[string]bool, error) {
	read := map[string]bool{}
	args := append([]string{"list", "--json", "--format={hostname}"}, which...)
	res, err := l.call(ctx, append(args, "--", l.repo())...)
	if err != nil {
		return read, err
	}
	list, err := parseList(res.Stdout)
	if err != nil {
		return read, probe.Unable("", "%w", err)
	}
	for _, a := range list.Archives {
		read[a.ID] = true
	}
	return read, nil
}

// contents lists an archive and calls each for every entry.
func (l *look) contents(ctx context.Context, a archive, each func(item)) (contents, error) {
	var sum contents
	err := l.stream(ctx, func(lines io.Reader) error {
		var err error
		if sum, err = parseItems(lines, each); err != nil && !errors.Is(err, scratch.ErrTool) {
			return probe.Unable("", "%w", err)
		}
		return err
	}, "list", "--json-lines", "--", l.in(a))
	if err == nil && sum.zeroed > 0 {
		err = probe.Faulty(holdfast.Damaged, "%s: lost content of %d files was replaced with zeros (borg check --repair)", a, sum.zeroed)
	}
	return sum, err
}

// literal makes an archive's name a pattern that matches only itself.
func literal(name string) string {
	return braces.Replace(strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(name))
}
