// Package discover finds what is on a host that somebody could lose: databases,
// backup repositories, timers and cron jobs that look like backups, and data that
// nothing seems to protect.
//
// It reads and never writes, runs no program, starts no shell: scripts and cron
// lines are taken apart, not carried out. It keeps to local file systems, to a
// number of files and to a time; what it may not read it says. What it understood
// is a [Report]; [Draft] makes a starting catalogue of one.
//
// That no backup was seen does not mean that there is none: one that another host
// pulls leaves no trace here.
package discover

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Options bound a look at a host. Zero values are the defaults.
type Options struct {
	Root   string               // a tree like a mounted image to look at instead; default: this host
	Files  int                  // files and folders to look at; default 300,000
	Within time.Duration        // how long to walk through folders; default 1 min
	Depth  int                  // folders below one another; default 9
	Big    holdfast.Bytes       // a folder of this size is data; default 1 GiB
	Tell   func(holdfast.Phase) // hears how far it has come; may be nil
	Now    func() time.Time     // default time.Now
	Urgent bool                 // at this process's priority, not at a low one
}

func (o Options) filled() Options {
	o.Root = cmp.Or(o.Root, "/")
	o.Files = cmp.Or(o.Files, 300_000)
	o.Within = cmp.Or(o.Within, time.Minute)
	o.Depth = cmp.Or(o.Depth, 9)
	o.Big = cmp.Or(o.Big, 1<<30)
	if o.Tell == nil {
		o.Tell = func(holdfast.Phase) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// finder is one look at a host.
type finder struct {
	Options
	*tree
	processes []process
	databases []database
	repos     []Repository
	jobs      []Job
	folders   []*folder
	limits    []string
}

// Look looks at a host, on a thread of low priority. It ends early, with what it has,
// when ctx is done. An error says that there is nothing to look at.
func Look(ctx context.Context, o Options) (Report, error) {
	o = o.filled()
	began := o.Now()
	t, err := openTree(o.Root)
	if err != nil {
		return Report{}, err
	}
	f := &finder{Options: o, tree: t}
	if o.Urgent {
		f.look(ctx)
	} else {
		quietly(func() { f.look(ctx) })
	}
	return f.report(began), nil
}

func (f *finder) look(ctx context.Context) {
	for _, step := range []struct {
		name string
		do   func(context.Context)
	}{
		{"processes", f.readProcesses},
		{"timers and cron", func(context.Context) { f.findTimers(); f.findCron() }},
		{"configurations", func(context.Context) { f.findConfigured() }},
		{"folders", f.walk},
		{"databases", f.measureDatabases},
		{"repositories", func(context.Context) { f.nameRepositories() }},
	} {
		f.Tell(holdfast.Phase{Name: step.name})
		if ctx.Err() != nil {
			f.limit("it was stopped before all was seen")
			return
		}
		step.do(ctx)
	}
}

func (f *finder) report(began time.Time) Report {
	host := f.hostname()
	r := Report{
		Schema: Schema, Host: host, At: began.UTC().Round(0), Took: holdfast.Duration(f.Now().Sub(began).Round(time.Millisecond)),
		Databases: []holdfast.FoundDatabase{}, Repositories: f.repos, Jobs: f.jobs, Unprotected: []Unprotected{}, Unread: f.unreadable(), Limits: f.limits,
	}
	if f.Root != "/" {
		r.Root = f.Root
	} else {
		r.listening = listening()
	}
	slices.SortFunc(r.Repositories, func(a, b Repository) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Location, b.Location))
	})
	f.protect(&r)
	r.Repositories = notNil(r.Repositories)
	r.Jobs = notNil(r.Jobs)
	r.Limits = notNil(r.Limits)
	return r
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// limit notes a bound that was reached.
func (f *finder) limit(what string) {
	if !slices.Contains(f.limits, what) {
		f.limits = append(f.limits, what)
	}
}

// hostname is what the host calls itself.
func (f *finder) hostname() string {
	if f.Root == "/" {
		name, _ := os.Hostname() // may be empty
		return name
	}
	return strings.TrimSpace(string(f.read("/etc/hostname")))
}
