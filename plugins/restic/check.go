package restic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type checkProbe struct{}

// checkSettings are the settings of restic.check.
type checkSettings struct {
	Source
	ReadDataSubset string `json:"read_data_subset,omitempty" jsonschema:"how much of the data to read: a share like 5% or 100%, one part of several like 1/7, or a size like 2GiB; without it only the structure is checked"`
}

func (checkProbe) Describe() probe.Description {
	return probe.Description{
		Name:       "restic.check",
		Observes:   "Whether a restic repository is intact: its structure, and the share of its data that is asked for.",
		Settings:   probe.Schema[checkSettings](),
		Cost:       holdfast.Heavy,
		Privileges: holdfast.Privileges{Secrets: true, Tools: tools, Note: "reads the repository; takes no lock and writes nothing"},
		Target:     []string{"repository"},
		Paths:      []string{"repository", "path"},
		Reasons:    reasons,
	}
}

func (checkProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	settings, err := probe.Decode[checkSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	arg, err := subsetArgument(settings.ReadDataSubset)
	if err != nil {
		return probe.Observation{}, fmt.Errorf("setting \"read_data_subset\": %w", err)
	}
	repo, err := open(settings.Source, r)
	if err != nil {
		return probe.Observation{}, err
	}
	return probe.Confirm(ctx, func(ctx context.Context) (probe.Observation, error) { return repo.check(ctx, arg) })
}

// readAll makes check read every pack.
const readAll = "--read-data"

// subsetArgument turns read_data_subset into restic's argument, "" for structure
// only.
func subsetArgument(subset string) (string, error) {
	part, of, isPart := strings.Cut(subset, "/")
	percent, isPercent := strings.CutSuffix(subset, "%")
	switch {
	case subset == "":
		return "", nil
	case isPart:
		n, errN := strconv.Atoi(part)
		t, errT := strconv.Atoi(of)
		if errN != nil || errT != nil || n < 1 || n > t || t > 256 {
			return "", fmt.Errorf("%q: write a part like 1/7, of at most 256", subset)
		}
		return fmt.Sprintf("--read-data-subset=%d/%d", n, t), nil
	case isPercent:
		v, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(v > 0 && v <= 100) {
			return "", fmt.Errorf("%q: write a share like 5%%, above 0%% and at most 100%%", subset)
		}
		if v == 100 {
			return readAll, nil
		}
		return "--read-data-subset=" + strconv.FormatFloat(v, 'f', -1, 64) + "%", nil
	}
	size, err := holdfast.ParseBytes(subset)
	if err != nil || size <= 0 {
		return "", fmt.Errorf("%q is neither a share like 5%%, nor a part like 1/7, nor a size like 2GiB", subset)
	}
	// restic refuses a bare number, so the size goes in whole KiB.
	return fmt.Sprintf("--read-data-subset=%dK", (int64(size)-1)>>10+1), nil
}

func (r *repository) check(ctx context.Context, arg string) (probe.Observation, error) {
	o, err := r.describe(ctx)
	if err != nil {
		return o, err
	}
	list, err := r.snapshots(ctx)
	if err != nil && !damaged(err) { // check counts what is damaged
		return o, err
	}
	args := []string{"check"}
	if arg != "" {
		args = append(args, arg)
	}
	started := time.Now().UTC()
	out, err := r.call(ctx, args...)
	if damaged(err) {
		o.Verification = &holdfast.Verification{Time: started, Errors: countErrors(out.Stderr)}
	}
	if err != nil {
		return o, err
	}
	c := parseCheck(out.Stdout)
	if !c.clean {
		return o, probe.Unable("", "restic check ended well without saying so: %s", probe.Clip(string(out.Stdout), 200))
	}
	scope, err := r.scope(ctx, arg, c)
	if err != nil {
		return o, err
	}
	o.Verification = &holdfast.Verification{Time: started, Scope: scope}
	o.Measures = []holdfast.Measure{{Name: "snapshots", Value: float64(len(list))}}
	o.Summary = "no errors in the structure; no data was read"
	if arg != "" {
		o.Summary = fmt.Sprintf("no errors in the structure and %.3g %% of the data", 100*scope)
	}
	return o, nil
}

// scope returns the share of the data packs that were read, 0–1. A part is counted, not
// believed: 5 % of eight packs is one of them.
func (r *repository) scope(ctx context.Context, arg string, c checked) (float64, error) {
	switch {
	case arg == "":
		return 0, nil
	case arg == readAll:
		return 1, nil
	case c.packs == 0:
		return 0, nil
	}
	var all int64
	err := r.stream(ctx, func(lines io.Reader) error {
		in := bufio.NewScanner(lines)
		for in.Scan() {
			if !isID(in.Text()) {
				return probe.Unable("", "restic list packs: %.80q is not an ID", in.Text())
			}
			all++
		}
		return in.Err()
	}, "list", "packs")
	if err != nil {
		return 0, err
	}
	if all == 0 {
		return 0, errors.New("restic list packs: there is none, though some were read")
	}
	return min(1, float64(c.packs)/float64(all)), nil
}
