package web_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// agent returns one of the estate's, to be changed.
func (e *estate) agent(t testing.TB, name string) *holdfast.AgentState {
	t.Helper()
	i := slices.IndexFunc(e.agents, func(a holdfast.AgentState) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("no agent %s", name)
	}
	return &e.agents[i]
}

// agentRows are the agents of a page in their order.
func agentRows(t testing.TB, e *estate, target string) []string {
	t.Helper()
	var names []string
	for _, r := range find(one(t, page(t, handler(t, e), target), "agents", id("agents")), tag("tr")) {
		if name, is := strings.CutPrefix(attr(r, "id"), "a-"); is {
			names = append(names, name)
		}
	}
	return names
}

func TestAgentsPage(t *testing.T) {
	e := newEstate(t, at(noon))
	dr1 := e.agent(t, "dr1")
	dr1.Connected, dr1.LastHeard = false, noon.Add(-4*time.Minute)
	db1 := e.agent(t, "db1")
	db1.Offset, db1.Spooled, db1.Version = holdfast.Duration(-90*time.Second), 250, "0.0.9"
	db1.Plugins = []holdfast.PluginHealth{{Name: "restic", Problem: "crashed: exit status 2", Restarts: 3}}
	db1.Refused = []string{"payments/ledger/hourly"}
	doc := page(t, handler(t, e), "/agents")
	if got := words(one(t, doc, "h1", tag("h1"))); got != "1 agent does not report." {
		t.Errorf("heading: got %q", got)
	}
	if names := agentRows(t, e, "/agents"); names[0] != "dr1" || names[1] != "db1" {
		t.Errorf("order: got %v, want the silent one first, then the one that needs attention", names)
	}
	silent := words(one(t, doc, "dr1", id("a-dr1")))
	// hourly restores look every five minutes with 90 s to do it: good for 11.5 minutes
	for _, want := range []string{"Silent", "4m ago", "Card payments", "from 12:", "all ", "tests are not made", "No session"} {
		if !strings.Contains(silent, want) {
			t.Errorf("the silent agent's row does not say %q: %s", want, silent)
		}
	}
	attention := words(one(t, doc, "db1", id("a-db1")))
	for _, want := range []string{"Needs attention", "1 refused", "1 of 1 fail", "−90 s", "250", "Plugin restic: crashed", "version 0.0.9 other than the collector’s"} {
		if !strings.Contains(strings.ReplaceAll(attention, "−1m 30s", "−90 s"), want) {
			t.Errorf("db1's row does not say %q: %s", want, attention)
		}
	}
	for target, want := range map[string][]string{
		"/agents?standing=silent": {"dr1"}, "/agents?q=DB1": {"db1"}, "/agents?q=0.0.9": {"db1"}, "/agents?q=nothing": nil, "/agents?standing=attention&site=fra": {"db1"}, "/agents?site=ams": nil,
	} {
		if got := agentRows(t, e, target); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}

func TestAgentPage(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	dr1 := e.agent(t, "dr1")
	dr1.Connected, dr1.LastHeard = false, noon.Add(-2*time.Hour)
	e.now = at(noon.Add(2 * time.Hour))
	doc := page(t, handler(t, e), "/agents/dr1")
	blind := words(one(t, doc, "what nobody sees", id("blind")))
	for _, want := range []string{"payments/ledger/offsite", "the agent is silent", "Card payments", "restore-in-ams", "since 12:", "this test is not made"} {
		if !strings.Contains(blind, want) {
			t.Errorf("blind spots do not say %q: %s", want, blind)
		}
	}
	looks := one(t, doc, "what it looks at", id("looks"))
	if !strings.Contains(words(looks), "failed") || len(find(looks, func(n *html.Node) bool {
		return strings.HasPrefix(attr(n, "href"), "/services/payments#")
	})) == 0 {
		t.Errorf("checks without outcome or evidence: %s", words(looks))
	}
	fine := words(one(t, page(t, handler(t, newEstate(t, at(noon))), "/agents/db1"), "main", id("main")))
	for _, want := range []string{"Reporting", "on what it sees", "in 4m", "Runs version 0.1.0, the collector 0.1.0-test. update the collector first"} {
		if !strings.Contains(fine, want) {
			t.Errorf("an agent that is well: %q is not said: %s", want, fine)
		}
	}
}

// Pages and API say the same of what we are blind to.
func TestBlindSpots(t *testing.T) {
	e := newEstate(t, at(noon))
	e.agent(t, "dr1").Connected = false
	e.agent(t, "db1").Refused = []string{"payments/ledger/hourly"}
	get := func(name string) (a web.OneAgent) {
		if err := json.Unmarshal([]byte(text(t, ask(t, handler(t, e), "viewer", "GET", "/api/v1/agents/"+url.PathEscape(name), ""))), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	silent := get("dr1")
	if len(silent.Blind) != len(silent.Checks) || len(silent.Blind) == 0 {
		t.Fatalf("dr1 is silent: %d of its %d checks are blind spots", len(silent.Blind), len(silent.Checks))
	}
	for _, b := range silent.Blind {
		if b.Why != "silent" || !b.From.Equal(e.latest[b.Check].At.Add(e.model.Validity(b.Check).Std())) {
			t.Errorf("%s: blind because %s from %s", b.Check, b.Why, b.From)
		}
	}
	i := slices.IndexFunc(silent.Blind, func(b web.BlindSpot) bool { return b.Check == "payments/receipts/vault" })
	var needs []string
	for _, n := range silent.Blind[i].Needs {
		needs = append(needs, fmt.Sprintf("%s %s %v", n.Path, n.Need, n.Test))
	}
	want := []string{"promote-standby payments/receipts/vault false", "restore-in-ams payments/receipts/vault false", "restore-in-ams payments/restore-in-ams/receipts.vault false"}
	if slices.Sort(needs); !slices.Equal(needs, want) {
		t.Errorf("what hangs on the receipts' vault: got %q, want %q", needs, want)
	}
	refusing := get("db1")
	if len(refusing.Blind) != 1 || refusing.Blind[0].Check != "payments/ledger/hourly" || refusing.Blind[0].Why != "refused" {
		t.Errorf("db1 refuses one check: got %+v", refusing.Blind)
	}
	e.agent(t, "db1").Revoked = true
	for _, b := range get("db1").Blind {
		if b.Why != "missing" || !b.From.IsZero() {
			t.Errorf("of a removed agent: %+v", b)
		}
	}
}

func TestNoAgents(t *testing.T) {
	e := newEstate(t, at(noon))
	e.agents = nil
	if got := words(one(t, page(t, handler(t, e), "/agents"), "main", id("main"))); !strings.Contains(got, "holdfast collector token --agent db1") || !strings.Contains(got, "holdfast agent --join") {
		t.Errorf("the first visit does not say how an agent joins: %s", got)
	}
}

// manyAgents makes an estate of services watched by agents, ten checks a service,
// so many of the agents silent.
func manyAgents(t testing.TB, services, agents, quiet int) *estate {
	e := newEstate(t, at(noon))
	e.sights = map[string][]holdfast.Sight{}
	c := &holdfast.Catalogue{Policy: e.catalogue.Policy}
	for i := range services {
		s := holdfast.Service{Name: fmt.Sprintf("service-%05d", i), Tier: 1}
		p := holdfast.Path{Name: "restore"}
		for k := range 10 {
			id := fmt.Sprintf("%s/restore/need-%d", s.Name, k)
			on := fmt.Sprintf("agent-%04d", (i*10+k)%agents)
			p.Needs = append(p.Needs, holdfast.Need{ID: id, Name: fmt.Sprintf("need-%d", k), Check: &holdfast.Check{ID: id, Probe: "net.tcp", On: on, Every: holdfast.Duration(time.Minute)}})
			e.sights[on] = append(e.sights[on], holdfast.Sight{Check: id, Outcome: holdfast.OK, At: noon, Until: noon.Add(time.Duration(k) * time.Minute)})
		}
		s.Paths = []holdfast.Path{p}
		c.Services = append(c.Services, s)
	}
	e.catalogue, e.agents = c, nil
	for i := range agents {
		name := fmt.Sprintf("agent-%04d", i)
		e.agents = append(e.agents, holdfast.AgentState{Name: name, Host: name, Site: "fra", Version: "0.1.0", Connected: i >= quiet, Enrolled: noon, LastHeard: noon, Checks: len(e.sights[name])})
	}
	return e
}

// BenchmarkAgents renders the agents of 10,000 services and 2,000 agents: some of
// them silent, and all of them.
func BenchmarkAgents(b *testing.B) {
	for _, quiet := range []int{100, 2000} {
		b.Run(fmt.Sprintf("silent=%d", quiet), func(b *testing.B) {
			h := handler(b, manyAgents(b, 10000, 2000, quiet))
			b.ReportAllocs()
			began := time.Now()
			for b.Loop() {
				ask(b, h, "viewer", "GET", "/agents", "")
			}
			if each := time.Since(began) / time.Duration(b.N); each > 100*time.Millisecond {
				b.Errorf("%v a page, want less than 100ms", each)
			}
		})
	}
}
