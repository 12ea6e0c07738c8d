package prometheus_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/prometheus"
)

type m = map[string]any

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func request(t testing.TB, settings m) probe.Request {
	t.Helper()
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b)}
}

func observe(t testing.TB, settings m) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	o, err := prometheus.Probes()[0].Observe(ctx, request(t, settings))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

// expect tests what came out, and that the words are in what is said.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason, words string) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason || !strings.Contains(o.Summary, words) {
		t.Errorf("got %s %q: %s\nwant %s %q: %s", o.Outcome, o.Reason, o.Summary, outcome, reason, words)
	}
}

func TestQuery(t *testing.T) {
	s := prometheusServer(t)
	for _, c := range []struct {
		name    string
		more    m
		outcome holdfast.Outcome
		reason  holdfast.Reason
		words   string
	}{
		{"a number", m{"query": "backup_bytes", "unit": "bytes"}, holdfast.OK, "", "4GiB of backup_bytes"},
		{"a scalar", m{"query": "6*7"}, holdfast.OK, "", "42"},
		{"enough", m{"query": "sum(nodes_ready)", "at_least": 12, "at_most": 12}, holdfast.OK, "", "12"},
		{"too few", m{"query": "sum(nodes_ready)", "at_least": 13, "unit": "nodes"}, holdfast.Failed, holdfast.Assertion, "12 nodes: the path needs at least 13 nodes"},
		{"too many", m{"query": "sum(nodes_ready)", "at_most": 11.5}, holdfast.Failed, holdfast.Assertion, "12: the path bears at most 11.5"},
		{"all hold", m{"query": "nodes_ready", "at_least": 3, "at_most": 5}, holdfast.OK, "", "3 series from 3 to 5"},
		{"the least does not", m{"query": "nodes_ready", "at_least": 4}, holdfast.Failed, holdfast.Assertion, `3 of nodes_ready{instance=`},
		{"the most does not", m{"query": "nodes_ready", "at_most": 4}, holdfast.Failed, holdfast.Assertion, `zone="2"`},
		{"no such series", m{"query": "no_such_thing"}, holdfast.Failed, holdfast.Empty, "gives nothing"},
		{"a filter that lets nothing through", m{"query": "nodes_ready > 9", "at_least": 1}, holdfast.Failed, holdfast.Empty, "gives nothing"},
		{"absence is good", m{"query": "nodes_ready > 9", "absent": "ok", "at_most": 9}, holdfast.OK, "", "as it should"},
		{"a target that is down", m{"query": `up{job="gone"}`, "at_least": 1}, holdfast.Failed, holdfast.Assertion, "0 of up{"},
		{"not a number", m{"query": "not_a_number"}, holdfast.OutcomeUnknown, "", "NaN"},
		{"nothing by nothing", m{"query": "0/0", "at_least": 0}, holdfast.OutcomeUnknown, "", "NaN"},
		{"endless is enough", m{"query": "endless", "at_least": 1}, holdfast.OK, "", "+Inf"},
		{"endless is too much", m{"query": "endless", "at_most": 1}, holdfast.Failed, holdfast.Assertion, "+Inf"},
		{"not PromQL", m{"query": "sum("}, holdfast.OutcomeUnknown, "", "parse error"},
		{"cannot be evaluated", m{"query": "nodes_ready + on() nodes_ready"}, holdfast.OutcomeUnknown, "", "many-to-many"},
		{"a range", m{"query": "nodes_ready[1m]"}, holdfast.OutcomeUnknown, "", "gives a range"},
		{"a text", m{"query": `"x"`}, holdfast.OutcomeUnknown, "", "not numbers"},
		{"no recovery point yet", m{"query": "backup_never_seconds", "recovery_point": true}, holdfast.Failed, holdfast.Empty, "no recovery point yet"},
		{"milliseconds", m{"query": "backup_milliseconds", "recovery_point": true}, holdfast.OutcomeUnknown, "", "divide"},
		{"the future", m{"query": "backup_future_seconds", "recovery_point": true}, holdfast.OutcomeUnknown, "", "future"},
		{"endless is no time", m{"query": "endless", "recovery_point": true}, holdfast.OutcomeUnknown, "", "no Unix time"},
		{"recovery points of nothing", m{"query": "backup_gone_seconds", "recovery_point": true}, holdfast.Failed, holdfast.Empty, "gives nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.more["url"] = s.url
			o, err := observe(t, c.more)
			expect(t, o, err, c.outcome, c.reason, c.words)
		})
	}
}

// TestFacts reads what is kept of the series.
func TestFacts(t *testing.T) {
	s := prometheusServer(t)
	o, err := observe(t, m{"url": s.url + "/", "query": "nodes_ready", "unit": "nodes"})
	expect(t, o, err, holdfast.OK, "", "3 series")
	want := []holdfast.Measure{{Name: "series", Value: 3}, {Name: "lowest", Value: 3, Unit: "nodes"}, {Name: "highest", Value: 5, Unit: "nodes"}}
	if diff := cmp.Diff(want, o.Measures); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
	found := 0
	for name, value := range o.Facts {
		if strings.Contains(name, `zone="3 \"x\""`) && value == "4" {
			found++
		}
	}
	if found != 1 || len(o.Facts) != 3 {
		t.Errorf("got facts %v, want each series", o.Facts)
	}
}

func TestRecoveryPoint(t *testing.T) {
	s := prometheusServer(t)
	o, err := observe(t, m{"url": s.url, "query": `backup_last_success_seconds{repo="a"}`, "recovery_point": true})
	expect(t, o, err, holdfast.OK, "", "newest recovery point")
	if diff := cmp.Diff([]holdfast.RecoveryPoint{{Time: time.Unix(s.newest, 0).UTC()}}, o.RecoveryPoints); diff != "" {
		t.Errorf("recovery points (-want +got):\n%s", diff)
	}
	o, err = observe(t, m{"url": s.url, "query": "backup_last_success_seconds", "recovery_point": true})
	expect(t, o, err, holdfast.OK, "", `repo="b"`)
	if len(o.RecoveryPoints) != 1 || o.RecoveryPoints[0].Time.Unix() != s.newest-3600 {
		t.Errorf("got %v, want the oldest of the two", o.RecoveryPoints)
	}
}

func TestCredentials(t *testing.T) {
	s := prometheusServer(t)
	address, ca := s.guarded(t, "right")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	right, wrong := file("right", "right\n"), file("wrong", "hunter2")
	for _, c := range []struct {
		name    string
		more    m
		outcome holdfast.Outcome
		reason  holdfast.Reason
		words   string
	}{
		{"right", m{"token_file": right, "ca_file": ca}, holdfast.OK, "", "42"},
		{"wrong", m{"token_file": wrong, "ca_file": ca}, holdfast.OutcomeUnknown, holdfast.Credential, "403"},
		{"none", m{"ca_file": ca}, holdfast.OutcomeUnknown, holdfast.Credential, "401"},
		{"unreadable", m{"token_file": dir + "/gone", "ca_file": ca}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no such file"},
		{"a folder", m{"token_file": dir, "ca_file": ca}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no regular file"},
		{"empty", m{"token_file": file("empty", "\n"), "ca_file": ca}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "one token"},
		{"two lines", m{"token_file": file("lines", "a\nb"), "ca_file": ca}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "one token"},
		{"nobody's authority", m{"token_file": right}, holdfast.OutcomeUnknown, holdfast.Unreachable, "certificate"},
		{"no certificate in it", m{"token_file": right, "ca_file": right}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no PEM certificate"},
		{"no such authority", m{"token_file": right, "ca_file": dir + "/gone"}, holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.more["url"], c.more["query"] = address, "6*7"
			o, err := observe(t, c.more)
			expect(t, o, err, c.outcome, c.reason, c.words)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed := "http://" + l.Addr().String()
	l.Close()
	for _, c := range []struct {
		name, url string
		outcome   holdfast.Outcome
		reason    holdfast.Reason
		words     string
	}{
		{"nobody listens", closed, holdfast.OutcomeUnknown, holdfast.Unreachable, "refused"},
		{"no such host", "http://no-such-host.invalid", holdfast.OutcomeUnknown, holdfast.Unreachable, "no such host"},
		{"not Prometheus", answering(t, 200, "<html>"), holdfast.OutcomeUnknown, "", "does not answer as Prometheus"},
		{"nothing there", answering(t, 404, "404 page not found"), holdfast.OutcomeUnknown, "", "404"},
		{"moved", answering(t, 302, ""), holdfast.OutcomeUnknown, "", "redirects, which is not followed"},
		{"starting", answering(t, 503, "Service Unavailable"), holdfast.OutcomeUnknown, holdfast.Unreachable, "503"},
		{"too slow a query", answering(t, 503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), holdfast.OutcomeUnknown, holdfast.Timeout, "query timed out"},
		{"too much", answering(t, 200, strings.Repeat(" ", 2<<20)), holdfast.OutcomeUnknown, "", "aggregate the query"},
		{"a histogram", answering(t, 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}`), holdfast.OutcomeUnknown, "", "histogram"},
		{"a broken sample", answering(t, 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}`), holdfast.OutcomeUnknown, "", "not a sample"},
		{"part of the data missing, empty", answering(t, 200, `{"status":"success","warnings":["store b is down"],"data":{"resultType":"vector","result":[]}}`), holdfast.OutcomeUnknown, "", "store b is down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := observe(t, m{"url": c.url, "query": "up", "absent": "ok", "at_least": 1})
			expect(t, o, err, c.outcome, c.reason, c.words)
		})
	}
	o, err := observe(t, m{"query": "up", "url": answering(t, 200, `{"status":"success","warnings":["store b is down"],"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}`)})
	expect(t, o, err, holdfast.OK, "", "2")
	if o.Facts["warnings"] != "store b is down" {
		t.Errorf("got facts %v, want the warning kept", o.Facts)
	}
}

func TestSilence(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := prometheus.Probes()[0].Observe(ctx, request(t, m{"url": silent(t), "query": "up"}))
	expect(t, probe.Observation{}, err, holdfast.OutcomeUnknown, holdfast.Timeout, "in time")
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		more m
		want string
	}{
		{m{"url": "prometheus"}, "not an http or https address"},
		{m{"url": "http://u:hunter2@p"}, "holds a user or password"},
		{m{"url": "http://p/?x=1"}, "query or fragment"},
		{m{"url": "http://p", "token_file": "/t"}, "in the clear"},
		{m{"query": ""}, "want PromQL"},
		{m{"query": strings.Repeat("x", 5000)}, "recording rule"},
		{m{"ca_file": "ca.pem"}, "not an absolute path"},
		{m{"at_least": 2, "at_most": 1}, "nothing is both"},
		{m{"recovery_point": true, "at_least": 2}, "the value is a time"},
		{m{"recovery_point": true, "absent": "ok"}, "the value is a time"},
		{m{"absent": "maybe"}, "neither ok nor failed"},
		{m{"absent": "ok"}, "nothing could ever be wrong"},
		{m{"at_least": "many"}, "want a number"},
	} {
		settings := m{"url": "https://p", "query": "up"}
		for k, v := range c.more {
			settings[k] = v
		}
		_, err := observe(t, settings)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: got %v, want %s", c.more, err, c.want)
		}
	}
}

func TestContract(t *testing.T) {
	s := prometheusServer(t)
	probetest.Run(t, prometheus.Probes()[0], request(t, m{"url": s.url, "query": "nodes_ready"}), request(t, m{"url": s.url, "query": "sum("}))
}
