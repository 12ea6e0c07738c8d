package nagios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// The exit codes of the Monitoring Plugins Development Guidelines, "Plugin Return
// Codes".
const (
	exitOK       = 0
	exitWarning  = 1
	exitCritical = 2
	exitUnknown  = 3
)

// outputMax bounds what is read of a plugin's answer.
const outputMax = 256 << 10

type pluginProbe struct{}

type settings struct {
	Command []string `json:"command" jsonschema:"the monitoring plugin's absolute path, then its arguments; the agent's configuration must list the path under commands"`
	Age     string   `json:"recovery_point_age,omitempty" jsonschema:"the label of the performance data that is the age of the newest backup, like age; it is reported as a recovery point"`
}

func (pluginProbe) Describe() probe.Description {
	return probe.Description{
		Name:       "nagios.plugin",
		Observes:   "What a monitoring plugin says: its exit code, its first line, and its performance data as measures.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Command: true, Note: "runs the program that the setting command names, with the agent's rights"},
		Target:     []string{"command"},
		Reasons:    []holdfast.Reason{holdfast.Assertion, holdfast.Empty, holdfast.ToolMissing, holdfast.Refused, holdfast.Timeout},
	}
}

func (pluginProbe) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	asked := time.Now()
	out, err := probe.Run(ctx, probe.Command{Path: s.Command[0], Args: s.Command[1:], StdoutMax: outputMax})
	if errors.Is(err, fs.ErrPermission) {
		return probe.Observation{}, probe.Unable(holdfast.Refused, "%w: let the agent's user run it", err)
	}
	if err != nil {
		return probe.Observation{}, err
	}
	name := filepath.Base(s.Command[0])
	a := parse(out.Stdout)
	outcome, err := outcomeOf(name, out, a)
	if err != nil {
		return probe.Observation{}, err
	}
	o := probe.Observation{Outcome: outcome, Summary: a.text, Raw: probe.Clip(a.long, holdfast.MaxRaw)}
	if outcome != holdfast.OK {
		o.Reason = holdfast.Assertion
	}
	a.report(&o)
	if out.Truncated {
		o.Facts["cut"] = fmt.Sprintf("it answered more than %v; what follows was not read", holdfast.Bytes(outputMax))
	}
	if s.Age != "" {
		return a.point(o, s.Age, asked)
	}
	return o, nil
}

// decode reads the settings.
func decode(given holdfast.Settings) (settings, error) {
	s, err := probe.Decode[settings](given)
	if err != nil {
		return s, err
	}
	if len(s.Command) == 0 || !filepath.IsAbs(s.Command[0]) {
		return s, errors.New(`setting "command": want a program's absolute path and its arguments: write it like [/usr/lib/nagios/plugins/check_tcp, -H, db1, -p, "5432"]`)
	}
	for i, arg := range s.Command {
		if strings.ContainsRune(arg, 0) {
			return s, fmt.Errorf("setting \"command\": number %d holds a zero byte", i+1)
		}
	}
	return s, nil
}

// outcomeOf turns an exit code into an outcome, or into the error that the plugin
// could not tell or is none.
func outcomeOf(name string, out probe.Output, a answer) (holdfast.Outcome, error) {
	said := a.text
	if said == "" {
		said = probe.OneLine(strings.TrimSpace(string(out.Stderr)))
	}
	switch {
	case out.ExitCode == exitUnknown:
		return "", probe.Unable("", "%s could not tell: %s", name, said)
	case out.ExitCode > exitUnknown:
		return "", probe.Unable("", "%s ended with exit code %d, which no monitoring plugin does: %s", name, out.ExitCode, said)
	case a.text == "":
		return "", probe.Unable("", "%s ended with exit code %d and printed nothing, which no monitoring plugin does: %s", name, out.ExitCode, said)
	case out.ExitCode == exitWarning:
		return holdfast.OutcomeDegraded, nil
	case out.ExitCode == exitCritical:
		return holdfast.Failed, nil
	}
	return holdfast.OK, nil
}

// point adds the recovery point that a number of the performance data tells. An
// answer without that number is an ok that attests nothing: nobody can tell.
func (a answer) point(o probe.Observation, label string, asked time.Time) (probe.Observation, error) {
	for _, d := range a.data {
		if d.label != label {
			continue
		}
		if d.unit != "seconds" && d.unit != "" || d.value < 0 || d.value > 100*365*24*3600 {
			return probe.Observation{}, probe.Unable("", "performance data %q is %s, which is no age in seconds", probe.OneLine(label), d.shown())
		}
		// Whole seconds: an age has no more, and the same backup shall keep its time.
		at := asked.Add(-time.Duration(d.value * float64(time.Second))).UTC().Truncate(time.Second)
		o.RecoveryPoints = []holdfast.RecoveryPoint{{Time: at}}
		return o, nil
	}
	if o.Outcome == holdfast.Failed { // it found no backup, and says so
		return o, nil
	}
	return probe.Observation{}, probe.Unable("", "the performance data has no %q; it has %s: name one in recovery_point_age", probe.OneLine(label), a.labels())
}
