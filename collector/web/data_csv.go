package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// The table of protected data as CSV (RFC 4180, UTF-8): times RFC 3339 in UTC,
// durations in seconds, sizes in bytes, shares 0–1. An empty cell is not known, or
// did not happen.

var datasetColumns = []string{
	"as_of", "service", "service_title", "dataset", "dataset_title", "owner", "tier", "site", "state", "reason",
	"worst_scenario", "exposure_seconds", "rpo_seconds", "recovery_point", "restored_from",
	"copies_on_site", "copies_off_site", "copies_immutable_or_offline",
	"rule_32110", "rule_3_copies", "rule_2_media", "rule_1_off_site", "rule_1_immutable_or_offline", "rule_0_errors",
	"last_verified", "verified_share", "last_restored", "restore_seconds", "restore_share", "restore_path", "bytes", "last_heard",
}

var copyColumns = []string{
	"as_of", "service", "dataset", "owner", "tier", "dataset_state", "copy", "kind", "site", "place", "medium", "verdict", "reason",
	"recovery_point", "age_seconds", "oldest_point", "largest_gap_seconds", "bytes",
	"last_verified", "verified_share", "verified_errors", "last_restored", "restore_seconds", "restore_share", "restore_path",
	"immutable", "immutable_known", "offline", "offline_known", "encrypted", "encrypted_known", "last_heard",
}

// dataCSV sends what the page shows with the same filter and order, all of it: one
// line a dataset, with each=copy one a copy, or with each=database one a database that
// agents found and nothing protects, whatever the filter.
func (s *server) dataCSV(w http.ResponseWriter, r *http.Request) {
	now := s.c.Now().UTC()
	f := newDataFilter(r.URL.Query())
	all := slices.Clone(s.datasets())
	finish(s.c, all)
	each := r.URL.Query().Get("each")
	columns, name := datasetColumns, "protected-data"
	switch each {
	case "copy":
		columns, name = copyColumns, "protected-data-copies"
	case "database":
		columns, name = databaseColumns, "unprotected-databases"
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="holdfast-%s-%s.csv"`, name, now.Format("20060102T150405Z")))
	h.Set("Vary", "Accept, Cookie")
	out := csv.NewWriter(w)
	out.UseCRLF = true
	out.Write(columns) // an error comes again at the end
	switch each {
	case "database":
		found := s.discovery()
		for i := range found.Unprotected {
			out.Write(cells(databaseLine(&found.Unprotected[i], stamp(now))))
		}
	case "copy":
		for _, d := range f.chosen(all, now) {
			for i := range d.Copies {
				out.Write(cells(d.copyLine(&d.Copies[i], now)))
			}
		}
	default:
		for _, d := range f.chosen(all, now) {
			out.Write(cells(d.line(now)))
		}
	}
	out.Flush() // an error means the reader is gone
}

// line is a dataset under datasetColumns.
func (d *ProtectedDataset) line(now time.Time) []string {
	line := []string{stamp(now), d.Service, d.Called, d.Dataset, d.Title, d.Owner, strconv.Itoa(d.Tier), d.Site, string(d.State), d.Reason}
	worst := DatasetScenario{}
	exposure, rpo := "", ""
	if s := d.exposed(now); s != nil {
		worst = *s
		if s.RPO.Stated() {
			rpo = seconds(s.RPO.Limit)
		}
		switch {
		case s.blocked: // the point is known, and of no use
		case s.Current:
			exposure = "0"
		case !s.Point.IsZero():
			exposure = seconds(holdfast.Duration(max(0, now.Sub(s.Point))))
		}
	}
	line = append(line, worst.Scenario, exposure, rpo, stamp(worst.Point), worst.Copy,
		strconv.Itoa(d.Onsite), strconv.Itoa(d.Offsite), strconv.Itoa(d.Hardened), d.ruleVerdict())
	for i := range d.Rule {
		line = append(line, string(d.Rule[i].Verdict)+": "+d.Rule[i].Reason)
	}
	return append(line, stamp(d.Verified), portion(d.Verified, d.Scope), stamp(d.Restored), took(d.Restored, d.Took), portion(d.Restored, d.Coverage),
		d.Through, size(d.Bytes), stamp(d.Heard))
}

// ruleVerdict sums 3-2-1-1-0 up: unmet if any part is, else unknown if any is.
func (d *ProtectedDataset) ruleVerdict() string {
	verdict := holdfast.Met
	for i := range d.Rule {
		switch v := d.Rule[i].Verdict; {
		case v == holdfast.Unmet:
			return string(v)
		case v != holdfast.Met:
			verdict = v
		}
	}
	return string(verdict)
}

// copyLine is a copy under copyColumns.
func (d *ProtectedDataset) copyLine(c *holdfast.CopyPosture, now time.Time) []string {
	place, age, errors := "on-site", "", ""
	if c.Offsite {
		place = "off-site"
	}
	if !c.Point.IsZero() {
		age = seconds(holdfast.Duration(max(0, now.Sub(c.Point))))
	}
	if !c.Verified.IsZero() {
		errors = strconv.FormatInt(c.Errors, 10)
	}
	line := []string{
		stamp(now), d.Service, d.Dataset, d.Owner, strconv.Itoa(d.Tier), string(d.State), c.Copy, string(c.Kind), c.Site, place, c.Medium, string(c.Verdict), c.Reason,
		stamp(c.Point), age, stamp(c.Oldest), took(c.Oldest, c.Gap), size(c.Bytes),
		stamp(c.Verified), portion(c.Verified, c.Scope), errors, stamp(c.Restored), took(c.Restored, c.Took), portion(c.Restored, c.Coverage), c.Through,
	}
	for _, f := range []holdfast.Fact{c.Immutable, c.Offline, c.Encrypted} {
		line = append(line, strconv.FormatBool(f.Value), f.How)
	}
	return append(line, stamp(c.Seen))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func seconds(d holdfast.Duration) string {
	return strconv.FormatFloat(d.Std().Round(time.Millisecond).Seconds(), 'f', -1, 64)
}

// took and portion are empty where what they measure did not happen.
func took(at time.Time, d holdfast.Duration) string {
	if at.IsZero() {
		return ""
	}
	return seconds(d)
}

func portion(at time.Time, share float64) string {
	if at.IsZero() {
		return ""
	}
	return strconv.FormatFloat(share, 'f', -1, 64)
}

func size(b holdfast.Bytes) string {
	if b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(b), 10)
}

// cells makes texts safe to open in a spreadsheet. None is a formula: what begins
// like one (= + - @, tab, return, also behind spaces and in their full-width forms)
// gets an apostrophe in front (OWASP, CSV injection). None holds control characters
// or turns the direction of writing, and none is longer than a person reads.
func cells(line []string) []string {
	for i, s := range line {
		s = string(visible([]byte(clipRaw(strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\uFFFD")))))
		if r := strings.TrimLeftFunc(line[i], unicode.IsSpace); r != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(clipTo(r, 8))[0]) || strings.HasPrefix(line[i], "\t") || strings.HasPrefix(line[i], "\r") {
			s = "'" + s
		}
		line[i] = s
	}
	return line
}
