package discover

import (
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const repositoriesMax = 500

// addRepository takes a repository in and returns its key; what is known of one
// already is filled in.
func (f *finder) addRepository(r Repository) string {
	if r.data != "" {
		r.data = f.real(r.data)
	}
	if filepath.IsAbs(r.Location) {
		r.Location = f.real(r.Location)
		if here, err := f.here(r.Location); err == nil {
			fill(&r.Host, f.mounts.server(here))
		}
	}
	for i := range f.repos {
		x := &f.repos[i]
		if x.Kind != r.Kind || x.Location != r.Location || x.Stanza != r.Stanza {
			continue
		}
		fill(&x.Host, r.Host)
		fill(&x.Password, r.Password)
		fill(&x.Env, r.Env)
		fill(&x.Key, r.Key)
		fill(&x.Config, r.Config)
		fill(&x.Secret, r.Secret)
		fill(&x.data, r.data)
		fill(&x.Number, r.Number)
		if x.Pattern != r.Pattern && r.Pattern != "" && x.Pattern != "" && !slices.Contains(x.Named, "folder") {
			x.Pattern = "*" // several kinds of file
		}
		fill(&x.Pattern, r.Pattern)
		for _, n := range r.Named {
			if !slices.Contains(x.Named, n) {
				x.Named = append(x.Named, n)
			}
		}
		for _, kind := range r.Of {
			if !slices.Contains(x.Of, kind) {
				x.Of = append(x.Of, kind)
			}
		}
		return r.key()
	}
	if len(f.repos) == repositoriesMax {
		f.limit("more than " + strconv.Itoa(repositoriesMax) + " repositories")
		return ""
	}
	f.repos = append(f.repos, r)
	return r.key()
}

// repository takes in where an action puts what it saves.
func (f *finder) repository(a *Action, by string) {
	if a.Target == "" || a.kind == "" || strings.HasPrefix(a.Target, unknown) {
		return
	}
	r := Repository{Kind: a.kind, Location: a.Target, Password: a.password, Env: a.env, Key: a.key, Config: a.config, Secret: a.secret, Named: []string{by}}
	switch a.kind {
	case "dumps", "archives", "basebackups", "physical", "btrfs":
		if !filepath.IsAbs(a.Target) {
			return // it depends on where the job runs
		}
		if a.Database != "" {
			r.Of = []string{a.Database}
		}
		switch {
		case strings.HasSuffix(a.Target, "/") || a.kind == "btrfs" && f.isDir(a.Target):
			r.Location = filepath.Clean(a.Target)
		default:
			r.Location, r.Pattern = splitPattern(a.Target)
		}
	default:
		if strings.Contains(a.Target, unknown) {
			return
		}
		r.Host = hostOfAddress(a.Target)
		if filepath.IsAbs(a.Target) {
			r.Location = filepath.Clean(a.Target)
		}
	}
	a.place = f.addRepository(r)
}

// splitPattern splits a file's name with * for what varies into the folder that is
// known and the pattern of the names in it.
func splitPattern(target string) (folder, pattern string) {
	folder, pattern = filepath.Split(filepath.Clean(target))
	for strings.Contains(folder, unknown) {
		folder, pattern = filepath.Split(filepath.Clean(folder))
	}
	return filepath.Clean(folder), generalise(pattern)
}

var (
	dated     = regexp.MustCompile(`[0-9]+(?:[-_T:.][0-9]+)*Z?`)
	several   = regexp.MustCompile(`\*[-_.]?\*(?:[-_.]?\*)*`)
	addressed = regexp.MustCompile(`^(?:[^/@]+@)?([A-Za-z0-9][A-Za-z0-9._-]*):`)
)

// generalise makes a pattern of a file's name: what changes from day to day
// becomes a *.
func generalise(name string) string {
	return several.ReplaceAllString(dated.ReplaceAllString(name, unknown), unknown)
}

// hostOfAddress names the host in an address like sftp:user@nas1:/srv, s3:https://…
// or user@nas1:/srv; "" for a folder of this host.
func hostOfAddress(address string) string {
	if filepath.IsAbs(address) {
		return ""
	}
	for _, scheme := range []string{"rest:", "s3:", "sftp:", "b2:", "azure:", "gs:", "swift:", "rclone:"} {
		if rest, ok := strings.CutPrefix(address, scheme); ok && !strings.HasPrefix(rest, "//") {
			address = rest
			if scheme != "sftp:" && scheme != "rest:" && scheme != "s3:" {
				return strings.TrimSuffix(scheme, ":")
			}
			break
		}
	}
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Hostname()
	}
	if m := addressed.FindStringSubmatch(address); m != nil {
		return m[1]
	}
	host, _, _ := strings.Cut(address, "/")
	return host
}

// nameRepositories looks into the repositories that lie on this host: how many
// points they hold, and when the newest was written.
func (f *finder) nameRepositories() {
	for i := range f.repos {
		r := &f.repos[i]
		if !filepath.IsAbs(r.Location) {
			continue
		}
		if here, err := f.here(r.Location); err != nil || !f.mounts.local(here) {
			continue
		}
		switch r.Kind {
		case "restic":
			r.Count, r.Newest = f.newest(filepath.Join(r.Location, "snapshots"), "*")
		case "borg":
			_, r.Newest = f.newest(r.Location, "*")
		case "pgbackrest":
			r.Count, r.Newest = f.newest(filepath.Join(r.Location, "backup", r.Stanza), "[0-9]*")
		case "barman":
			r.Count, r.Newest = f.newest(filepath.Join(r.Location, "base"), "[0-9]*")
		case "mirror":
			_, r.Newest = f.newest(r.Location, "*")
		default:
			r.Count, r.Newest = f.newest(r.Location, first(r.Pattern, "*"))
		}
	}
}

// newest counts what matches in a folder, and says when the newest changed last.
func (f *finder) newest(dir, pattern string) (n int, at time.Time) {
	entries, _ := f.list(dir)
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); !ok {
			continue
		}
		n++
		if info, err := e.Info(); err == nil && info.ModTime().After(at) {
			at = info.ModTime().UTC().Truncate(time.Second)
		}
	}
	return n, at
}
