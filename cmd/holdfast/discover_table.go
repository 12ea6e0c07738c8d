package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent/discover"
)

const unseenBackup = "seen no backup of it on this host"

// writeDiscovery writes what was found for people, a group after the other.
func writeDiscovery(w io.Writer, r discover.Report, now time.Time) error {
	var b strings.Builder
	group := func(title string, n int, none string, rows *table) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(title + "\n")
		if n == 0 {
			b.WriteString("  " + none + "\n")
			return
		}
		rows.WriteTo(&b) // a strings.Builder takes everything
	}
	group("DATABASES", len(r.Databases), "none was found", databaseRows(r.Databases, r.Root))
	group("BACKUP REPOSITORIES", len(r.Repositories), "none was found", repositoryRows(r.Repositories, now))
	group("TIMERS AND CRON JOBS THAT LOOK LIKE BACKUPS", len(r.Jobs), "none was found", jobRows(r.Jobs))
	group("NOT PROTECTED, AS FAR AS CAN BE SEEN HERE", len(r.Unprotected), "nothing: each database and large folder has a backup here that names it", unprotectedRows(r.Unprotected))
	if len(r.Unprotected) > 0 {
		b.WriteString("  A backup that another host pulls leaves no trace here.\n")
	}
	if len(r.Unread) > 0 {
		t := &table{}
		for _, u := range r.Unread {
			t.row("  "+u.Path, u.Why)
		}
		group("COULD NOT BE READ", len(r.Unread), "", t)
		b.WriteString("  hint: run it as root, or give it the capability CAP_DAC_READ_SEARCH\n")
	}
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "\nnote: %s\n", clean(l))
	}
	if len(r.Databases)+len(r.Repositories)+len(r.Jobs) > 0 {
		b.WriteString("\nTo have it watched: holdfast discover --write DIR --help\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func databaseRows(list []holdfast.FoundDatabase, root string) *table {
	t := &table{}
	t.row("  KIND", "NAME", "STANDS", "SIZE", "WHERE", "BACKUPS SEEN")
	for _, d := range list {
		stands := "not running"
		if d.Running {
			stands = "running"
			if d.Port != 0 {
				stands += ", port " + strconv.Itoa(d.Port)
			}
		}
		switch {
		case d.Kind == holdfast.SQLite:
			stands = "file"
		case root != "": // a tree has no processes
			stands = "-"
		}
		where := orDash(d.Path)
		if d.Container != "" {
			where += " in container " + d.Container
		}
		seen := unseenBackup
		if len(d.Seen) > 0 {
			seen = d.Seen[0]
		}
		t.row("  "+strings.TrimSpace(d.Kind+" "+d.Version), orDash(d.Name), stands, sizeSeen(d.Bytes, d.More), where, seen)
		for _, more := range d.Seen[min(1, len(d.Seen)):] {
			t.row("", "", "", "", "", more)
		}
	}
	return t
}

func repositoryRows(list []discover.Repository, now time.Time) *table {
	t := &table{}
	t.row("  KIND", "WHERE", "HOLDS", "NEWEST", "NAMED BY")
	for _, r := range list {
		where, holds, newest := r.Location, "-", "-"
		if r.Pattern != "" {
			where += "/" + r.Pattern
		}
		if r.Stanza != "" {
			where += ", " + r.Stanza
		}
		if r.Host != "" && !strings.Contains(where, r.Host) {
			where += " on " + r.Host
		}
		if r.Count > 0 {
			holds = strconv.Itoa(r.Count)
		}
		if !r.Newest.IsZero() {
			newest = holdfast.Duration(now.Sub(r.Newest).Truncate(time.Minute)).String() + " ago"
		}
		t.row("  "+strings.TrimSpace(r.Kind+" "+strings.Join(r.Of, ", ")), where, holds, newest, strings.Join(r.Named, ", "))
	}
	return t
}

func jobRows(list []discover.Job) *table {
	t := &table{}
	t.row("  JOB", "WHEN", "USER", "DOES")
	for _, j := range list {
		when := j.Schedule
		if !j.Enabled {
			when = strings.TrimSpace(when + " (not enabled)")
		}
		for i, a := range j.Actions {
			if i == 0 {
				t.row("  "+j.Name, orDash(when), orDash(j.User), does(a))
			} else {
				t.row("", "", "", does(a))
			}
		}
	}
	return t
}

// does says what an action does, in a line.
func does(a discover.Action) string {
	line := a.Tool
	if !a.Saves {
		line += " looks after " + a.Target
		return line
	}
	if len(a.Sources) > 0 {
		line += " saves " + strings.Join(a.Sources, ", ")
	}
	if a.Host != "" {
		line += " of " + a.Host
	}
	if a.Port != 0 {
		line += " port " + strconv.Itoa(a.Port)
	}
	if a.Target != "" {
		line += " to " + a.Target
	} else {
		line += "; where to, its command line does not say"
	}
	return line
}

func unprotectedRows(list []discover.Unprotected) *table {
	t := &table{}
	t.row("  WHAT", "SIZE", "WHERE", "")
	for _, u := range list {
		t.row("  "+strings.TrimSpace(u.Kind+" "+u.Name), sizeSeen(u.Bytes, u.More), orDash(u.Path), unseenBackup)
	}
	return t
}

func sizeSeen(b holdfast.Bytes, more bool) string {
	switch {
	case b == 0:
		return "-"
	case more:
		return "over " + b.String()
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
