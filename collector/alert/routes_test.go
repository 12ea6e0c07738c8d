package alert_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

var update = flag.Bool("update", false, "write what bad routes files give beside them")

func TestRoutesBad(t *testing.T) {
	files, err := filepath.Glob("testdata/routes/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d bad files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = alert.ParseRoutes(filepath.Base(name), text)
			if err == nil {
				t.Fatal("no error")
			}
			beside := strings.TrimSuffix(name, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(beside, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(beside)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(err.Error()+"\n", string(want)); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
		})
	}
}

// The example that is shipped is read as it stands, but for where its secrets are.
func TestShippedRoutes(t *testing.T) {
	text, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secrets := map[string]string{
		"alertmanager.token": "token", "incident-desk.secret": "sixteen bytes or more", "mail.password": "password",
		"night-shift.url": "slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook", "heartbeat.url": "https://hc.example.org/0a1b2c3d",
	}
	for name, content := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range regexp.MustCompile(`/etc/holdfast/([a-z.-]+)`).FindAllStringSubmatch(string(text), -1) {
		if secrets[s[1]] == "" && s[1] != "alerts.yaml" && s[1] != "internal-ca.pem" {
			t.Errorf("this test does not know %s", s[0])
		}
	}
	routes, err := alert.ParseRoutes("alerts.yaml", []byte(strings.ReplaceAll(string(text), "/etc/holdfast", dir)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range routes.Routes {
		for _, c := range r.Receivers {
			got = append(got, r.Name+" → "+c.Name+" "+c.Type+" "+c.Target)
		}
	}
	want := []string{
		"everything → alertmanager/am1.example.org:9093 alertmanager https://am1.example.org:9093",
		"everything → alertmanager/am2.example.org:9093 alertmanager https://am2.example.org:9093",
		"critical-services → incident-desk webhook https://desk.example.org/hooks/holdfast",
		"critical-services → night-shift chat slack (slack.com)",
		"people-and-plans → continuity-managers/continuity@example.org mail continuity@example.org through mail.example.org:587",
		"people-and-plans → continuity-managers/audit@example.org mail audit@example.org through mail.example.org:587",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("routes (-got +want):\n%s", diff)
	}
	people := routes.Routes[2]
	if people.Remind != 7*24*time.Hour || !slices.Contains(people.Kinds, holdfast.PlanOverdue) || !slices.Equal(routes.Routes[1].Tiers, []int{1}) {
		t.Errorf("routes %+v", routes.Routes)
	}
	if routes.HoldOff[holdfast.PointMissed] != 10*time.Minute || len(routes.Heartbeats) != 1 {
		t.Errorf("hold off %v, %d heartbeats", routes.HoldOff, len(routes.Heartbeats))
	}
}

func TestRoutesEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "routes: [{name: r, to: [r]}]\nreceivers: {r: {alertmanager: {urls: [https://am.example.org]}}}\n"} {
		if _, err := alert.ParseRoutes("alerts.yaml", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := alert.ReadRoutes(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there gives no error")
	}
}

func FuzzParseRoutes(f *testing.F) {
	files, _ := filepath.Glob("testdata/routes/*.yaml")
	for _, name := range append(files, "../../deploy/alerts.yaml") {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		routes, err := alert.ParseRoutes("f", text)
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x00") {
			t.Errorf("error %q", err)
		}
		if (routes == nil) != (err != nil) {
			t.Error("neither routes nor an error")
		}
	})
}
