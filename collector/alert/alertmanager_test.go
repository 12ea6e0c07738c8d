package alert_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// told is what an Alertmanager tells its own receiver.
type told struct {
	Status string `json:"status"`
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"alerts"`
}

// A damaged repository that three services restore from is one alert to a real
// Alertmanager, and so is its end to the people behind it.
func TestAlertmanagerReceivesOneAlertAndItsEnd(t *testing.T) {
	notifications := make(chan told, 10)
	people := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n told
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Errorf("Alertmanager's notification: %v", err)
		}
		notifications <- n
	}))
	t.Cleanup(people.Close)
	am := startAlertmanager(t, people.URL)
	to := receivers(t, "  am: {alertmanager: {urls: ['"+am+"'], allow_private: true}}", "am")
	if len(to) != 1 || to[0].Type != "alertmanager" || to[0].Refresh != time.Minute || to[0].Target != am {
		t.Fatalf("receivers %+v", to)
	}

	n := damaged(holdfast.AlertFiring)
	send(t, to[0], n)
	n.Alert.Services = append(n.Alert.Services, "loans") // said again, and more services are down: still one
	send(t, to[0], n)
	send(t, to[0], damaged(holdfast.AlertFiring))
	if got := next(t, notifications); got.Status != "firing" || len(got.Alerts) != 1 {
		t.Fatalf("people were told %+v, want one firing alert", got)
	}
	got := posted(t, am)
	if len(got) != 1 {
		t.Fatalf("Alertmanager holds %d alerts, want 1: %+v", len(got), got)
	}
	wantLabels := map[string]string{
		"alertname": "HoldfastRecoveryPointFailed", "kind": "recovery-point-failed", "severity": "critical",
		"cause": "payments/ledger/offsite", "service": "payments", "agent": "dr1", "host": "s3", "site": "ams",
	}
	if diff := cmp.Diff(got[0].Labels, wantLabels); diff != "" {
		t.Errorf("labels (-got +want):\n%s", diff)
	}
	if a := got[0].Annotations; a["summary"] != n.Alert.What || a["services"] != "payments, settlement, reporting" || a["next_step"] != n.Alert.Next ||
		a["link"] != "https://holdfast.example.org/services/payments" || !strings.Contains(a["description"], n.Alert.Effect) {
		t.Errorf("annotations %v", a)
	}
	if until := time.Until(got[0].EndsAt); until < 4*time.Minute || until > 5*time.Minute+time.Second {
		t.Errorf("it ends by itself in %v, want 5 minutes after it was said last", until)
	}

	send(t, to[0], damaged(holdfast.AlertResolved))
	if got := posted(t, am); len(got) != 0 {
		t.Errorf("Alertmanager still holds %+v", got)
	}
	ended := next(t, notifications)
	for ended.Status != "resolved" {
		ended = next(t, notifications)
	}
	if len(ended.Alerts) != 1 {
		t.Errorf("people were told of the end of %+v, want one alert", ended)
	}
}

func TestAlertmanagerPeersAreReceiversOfTheirOwn(t *testing.T) {
	am := startAlertmanager(t, "http://127.0.0.1:1/")
	down := fmt.Sprintf("http://127.0.0.1:%d", port(t))
	to := receivers(t, "  am: {alertmanager: {urls: ['"+down+"', '"+am+"'], allow_private: [127.0.0.1]}}", "am")
	if len(to) != 2 || to[0].Name == to[1].Name {
		t.Fatalf("receivers %+v, want two", to)
	}
	if err := to[0].Sender.Send(t.Context(), damaged(holdfast.AlertFiring)); err == nil {
		t.Error("a peer that is down took it")
	}
	send(t, to[1], damaged(holdfast.AlertFiring))
	if got := posted(t, am); len(got) != 1 {
		t.Errorf("the other peer holds %+v, want one alert", got)
	}
}

func TestAlertmanagerTestAlertEndsByItself(t *testing.T) {
	am := startAlertmanager(t, "http://127.0.0.1:1/")
	to := receivers(t, "  am: {alertmanager: {urls: ['"+am+"'], allow_private: true}}", "am")
	send(t, to[0], alert.Notice{ID: "t", Test: true, Status: holdfast.AlertFiring, Route: "everything", At: time.Now()})
	got := posted(t, am)
	if len(got) != 1 || got[0].Labels["alertname"] != "HoldfastTest" || time.Until(got[0].EndsAt) > time.Minute+time.Second {
		t.Errorf("Alertmanager holds %+v, want one test that ends within a minute", got)
	}
}

func TestAlertmanagerToken(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	t.Cleanup(server.Close)
	to := receivers(t, "  am: {alertmanager: {urls: ['"+server.URL+"'], allow_private: true, token_file: "+file(t, "opensesame\n")+"}}", "am")
	send(t, to[0], damaged(holdfast.AlertFiring))
	if got != "Bearer opensesame" {
		t.Errorf("authorization %q", got)
	}
}

func send(t *testing.T, to alert.Receiver, n alert.Notice) {
	t.Helper()
	if err := to.Sender.Send(t.Context(), n); err != nil {
		t.Fatalf("send to %s: %v", to.Name, err)
	}
}

func next(t *testing.T, c chan told) told {
	t.Helper()
	select {
	case n := <-c:
		return n
	case <-time.After(2 * time.Minute):
		t.Fatal("Alertmanager told nobody")
		return told{}
	}
}

type heldAlert struct {
	EndsAt      time.Time         `json:"endsAt"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// posted asks an Alertmanager what fires.
func posted(t *testing.T, am string) []heldAlert {
	t.Helper()
	resp, err := http.Get(am + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []heldAlert
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

// startAlertmanager runs the real one until the test ends, and returns its
// address. It tells a webhook of what it is told.
func startAlertmanager(t *testing.T, hook string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("prometheus-alertmanager is not installed: deploy/install-tools prometheus-alertmanager")
		}
		t.Skip("prometheus-alertmanager is not installed: deploy/install-tools prometheus-alertmanager")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	err = os.WriteFile(config, fmt.Appendf(nil, `route: {receiver: people, group_by: [alertname, cause], group_wait: 10ms, group_interval: 50ms, repeat_interval: 1h}
receivers: [{name: people, webhook_configs: [{url: '%s', send_resolved: true}]}]
`, hook), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port(t))
	var output bytes.Buffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone already: Wait says so
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("alertmanager:\n%s", output.String())
		}
	})
	ready := time.NewTicker(20 * time.Millisecond)
	defer ready.Stop()
	for range 1000 {
		if resp, err := http.Get("http://" + address + "/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		<-ready.C
	}
	t.Fatal("alertmanager does not become ready")
	return ""
}

// port returns a free port that no outgoing connection takes meanwhile.
func port(t *testing.T) int {
	t.Helper()
	for p := 21000 + os.Getpid()%5000; p < 32000; p++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err == nil {
			l.Close()
			return p
		}
	}
	t.Fatal("no free port")
	return 0
}
