package btrfs

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// scrub is what "btrfs scrub status -R" says of the last one.
type scrub struct {
	started time.Time
	status  string
	counts  map[string]int64
}

var countLine = regexp.MustCompile(`^\s*([a-z_]+):\s+([0-9]+)$`)

// parseScrub reads it; ok is false where there was none, or none is told of.
func parseScrub(out []byte) (s scrub, ok bool) {
	s.counts = map[string]int64{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if m := countLine.FindStringSubmatch(line); m != nil {
			s.counts[m[1]], _ = strconv.ParseInt(m[2], 10, 64)
		} else if at, found := strings.CutPrefix(line, "Scrub started:"); found {
			s.started, _ = time.Parse(time.ANSIC, strings.TrimSpace(at)) // TZ=UTC
		} else if status, found := strings.CutPrefix(line, "Status:"); found {
			s.status = strings.TrimSpace(status)
		}
	}
	_, counted := s.counts["uncorrectable_errors"]
	return s, counted && !s.started.IsZero()
}

// scrubbed adds what the last scrub of the whole file system said.
func (s settings) scrubbed(ctx context.Context, o probe.Observation, tool string) (probe.Observation, error) {
	patience, cancel := probe.AnswerTime(ctx) // a tool that hangs must not cost what was seen without it
	defer cancel()
	out, err := probe.Run(patience, probe.Command{Path: tool, Args: []string{"scrub", "status", "-R", "--", s.Directory}})
	if ctx.Err() != nil {
		return o, err
	}
	last, ok := parseScrub(out.Stdout)
	if err != nil || !ok {
		o.Facts["scrub"] = "none is known of, or none is told to the agent's user"
		return o, nil
	}
	lost := last.counts["uncorrectable_errors"] + last.counts["unverified_errors"]
	o.Facts["scrub"] = probe.OneLine(fmt.Sprintf("%s, begun %s: %d errors corrected, %d not", last.status,
		last.started.Format(time.RFC3339), last.counts["corrected_errors"], lost))
	o.Measures = append(o.Measures, holdfast.Measure{Name: "scrub_uncorrectable_errors", Value: float64(lost)},
		holdfast.Measure{Name: "scrub_corrected_errors", Value: float64(last.counts["corrected_errors"])})
	switch {
	case lost > 0:
		o.Verification = &holdfast.Verification{Time: last.started.UTC(), Scope: 1, Errors: lost}
		return o, &probe.Fault{Reason: holdfast.Damaged, Text: fmt.Sprintf("the scrub of %s found %d errors it could not correct", last.started.Format(time.RFC3339), lost), Raw: string(out.Stdout)}
	case last.status != "finished":
	case last.counts["no_csum"] > 0:
		o.Facts["scrub"] += fmt.Sprintf("; %d blocks have no checksum and were not compared", last.counts["no_csum"])
	default:
		o.Verification = &holdfast.Verification{Time: last.started.UTC(), Scope: 1}
		o.Summary += "; scrubbed " + last.started.Format(time.RFC3339)
	}
	return o, nil
}
