package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// asking are the commands that print what a collector answers, each with an
// answer of the type it reads.
var asking = map[string]struct {
	args   []string
	answer any
}{
	"holdfast status":            {[]string{"status"}, new(web.Status)},
	"holdfast service":           {[]string{"service", "x"}, new(web.OneService)},
	"holdfast service list":      {[]string{"service", "list"}, new(web.Status)},
	"holdfast service show":      {[]string{"service", "show", "x"}, new(web.OneService)},
	"holdfast agents list":       {[]string{"agents", "list"}, new(web.Agents)},
	"holdfast alert list":        {[]string{"alert", "list"}, new(web.Alerts)},
	"holdfast alert ack":         {[]string{"alert", "ack", "00112233445566778899", "--for", "1h"}, new(holdfast.Alert)},
	"holdfast alert silence":     {[]string{"alert", "silence", "--host", "x", "--reason", "x", "--for", "1h"}, new(holdfast.Silence)},
	"holdfast alert silence end": {[]string{"alert", "silence", "end", "x"}, new(holdfast.Silence)},
	"holdfast alert silences":    {[]string{"alert", "silences"}, new(web.Silences)},
	"holdfast alert routes":      {[]string{"alert", "routes"}, new(web.Routes)},
	"holdfast alert test":        {[]string{"alert", "test", "x"}, new(web.RouteTest)},
	"holdfast drill start":       {[]string{"drill", "start", "x", "--path", "x", "--dry-run"}, new(web.Rehearsal)},
	"holdfast drill list":        {[]string{"drill", "list"}, new(web.Drills)},
	"holdfast drill show":        {[]string{"drill", "show", "x"}, new(web.OneDrill)},
	"drill followed":             {[]string{"drill", "show", "x", "--follow"}, new(web.OneDrill)},
	"holdfast drill step":        {[]string{"drill", "step", "x", "1", "--done"}, new(holdfast.Drill)},
	"holdfast drill cancel":      {[]string{"drill", "cancel", "x", "--reason", "x"}, new(holdfast.Drill)},
	"holdfast drill schedule":    {[]string{"drill", "schedule", "x", "--path", "x", "--every", "90d"}, new(web.Booked)},
	"holdfast drill bookings":    {[]string{"drill", "bookings"}, new(web.Bookings)},
	"holdfast drill unschedule":  {[]string{"drill", "unschedule", "x"}, new(struct{})},
	"holdfast record":            {[]string{"record", "change", "--service", "x", "--reason", "x"}, new(holdfast.Record)}, // of any kind
}

// fill writes a text into every string there can be, closed lists included: the
// collector may be another version, or an impostor.
func fill(v reflect.Value, text string, deep int) {
	switch v.Kind() {
	case reflect.Pointer:
		if deep > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), text, deep-1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now().UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, deep-1)
		}
	case reflect.Slice:
		if deep > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), text, deep-1)
			fill(v.Index(1), text, deep-1)
		}
	case reflect.Map:
		if deep > 0 && v.Type().Key().Kind() == reflect.String {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.SetString(text)
			fill(value, text, deep-1)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64, reflect.Uint64:
		v.Set(reflect.ValueOf(1).Convert(v.Type()))
	}
}

// drivesTerminal is what must never reach one: control characters but the end of
// a line, and those that turn the direction of writing.
var drivesTerminal = regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{200e}\x{200f}\x{061c}]`)

// TestHostileAnswers: whatever a collector answers, good or bad, as a table or as
// JSON, a terminal shows it and nothing else.
func TestHostileAnswers(t *testing.T) {
	bad := "\x1b[31mred\x1b]0;title\x07\x00\u009b2J pay\u202egpj.exe\u2066\u200f\r\tx"
	for name, c := range asking {
		fill(reflect.ValueOf(c.answer).Elem(), bad, 12)
		answer, err := json.Marshal(c.answer)
		if err != nil {
			t.Fatal(err)
		}
		problem, err := json.Marshal(map[string]any{"title": bad, "detail": bad + "\n" + bad, "errors": []any{map[string]any{"location": bad, "message": bad}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, status := range []int{200, 403, 404, 422, 500, 503} {
			body := answer
			if status != 200 {
				body = problem
			}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				w.Write(bytes.ReplaceAll(body, []byte(`"next":`), []byte(`"was_next":`))) // one page
			}))
			for _, output := range []string{"table", "json"} {
				var stdout, stderr bytes.Buffer
				args := append(append([]string{}, c.args...), "--url", s.URL, "--token", "x")
				cmd, _, err := rootCommand().Find(c.args)
				if err != nil {
					t.Fatal(err)
				}
				if cmd.Flags().Lookup("output") != nil {
					args = append(args, "-o", output)
				}
				code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
				if (code == exitDone || code == exitBadAnswer) != (status == 200) {
					t.Errorf("%s answered %d: exit %d: %s", name, status, code, &stderr)
				}
				for _, text := range []string{stdout.String(), stderr.String()} {
					if i := drivesTerminal.FindStringIndex(text); i != nil {
						t.Errorf("%s -o %s answered %d: raw %q in %q", name, output, status, text[i[0]:i[1]], text[max(0, i[0]-60):min(len(text), i[0]+20)])
					}
				}
			}
			s.Close()
		}
	}
}

// TestEveryCommandIsTried: a command that asks a collector and stands not above is
// found.
func TestEveryCommandIsTried(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if strings.HasPrefix(path, "holdfast record ") {
			path = "holdfast record"
		}
		if _, tried := asking[path]; cmd.Flags().Lookup("token") != nil && cmd.Flags().Lookup("url") != nil && cmd.Runnable() && !tried {
			t.Errorf("%s asks a collector and no row of asking tries it", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
}
