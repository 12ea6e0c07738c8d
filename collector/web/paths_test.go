package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// TestPathStands: a path stands as the worst of the scenarios it covers; where it
// covers none, uncovered.
func TestPathStands(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	got := map[string]holdfast.State{}
	for _, r := range web.Paths(e.postures) {
		got[r.Service+"/"+r.Path] = r.State
		p, _ := e.Posture(r.Service)
		for _, s := range r.Scenarios {
			if s.State != holdfast.Uncovered && s.State.Rank() > r.State.Rank() {
				t.Errorf("%s/%s is %s and %s in %s", r.Service, r.Path, r.State, s.State, s.Name)
			}
		}
		if !slices.IsSortedFunc(r.RunsOut, func(a, b web.RunsOut) int { return a.At.Compare(b.At) }) {
			t.Errorf("%s/%s: what runs out is not in order", p.Name, r.Path)
		}
	}
	want := map[string]holdfast.State{
		"payments/promote-standby": holdfast.Unknown, "payments/restore-in-ams": holdfast.Degraded, "identity/failover": holdfast.Degraded, "identity/rebuild": holdfast.Proven,
		"dns/second-server": holdfast.Proven, "shop/restore-in-ams": holdfast.Broken, "shop/restore-from-nas": holdfast.Proven, "warehouse/restore": holdfast.Stale,
		"reporting/reload": holdfast.Unknown, "wiki/restore": holdfast.Unknown,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRunsOut: everything of a path that ends by itself is there, proofs, reviews,
// training, attestations and certificates.
func TestRunsOut(t *testing.T) {
	e := newEstate(t, at(noon))
	kinds := map[string]bool{}
	for _, r := range web.Paths(e.postures) {
		for _, o := range r.RunsOut {
			if !o.At.After(noon) {
				t.Errorf("%s/%s: %s ran out already", r.Service, r.Path, o.What)
			}
			for _, k := range []string{"proof", "review of plan", "business impact", "training", "attestation", "expires"} {
				kinds[k] = kinds[k] || strings.Contains(o.What, k)
			}
		}
	}
	for k, seen := range kinds {
		if !seen {
			t.Errorf("nothing of kind %q runs out", k)
		}
	}
	dots, _, all := web.RunOutDays(web.Paths(e.postures), noon)
	if dots == 0 || dots > all {
		t.Errorf("got %d dots for %d items", dots, all)
	}
	var crowded []web.RecoveryPath
	for i := range 40 {
		crowded = append(crowded, web.RecoveryPath{Service: string(rune('a' + i)), RunsOut: []web.RunsOut{{At: noon.Add(50 * time.Hour), What: "proof"}, {At: noon.Add(40 * 24 * time.Hour), What: "later"}}})
	}
	if dots, more, all := web.RunOutDays(crowded, noon); dots != 4 || more != 1 || all != 40 {
		t.Errorf("40 on one day: got %d dots, %d counts, %d items; want 4, 1, 40", dots, more, all)
	}
}

// TestBreakingNeeds: one damaged repository is one need, however many checks of
// however many services look at it, and names all the paths it takes down.
func TestBreakingNeeds(t *testing.T) {
	e := newEstate(t, at(noon), func(o *holdfast.Observation) {
		if strings.HasSuffix(o.Check, "/vault") || o.Check == "payments/ledger/offsite" {
			o.Outcome, o.Reason, o.Summary = holdfast.Failed, holdfast.Damaged, "index is damaged"
		}
	})
	byCheck := map[string]web.BreakingNeed{}
	list := web.BreaksMost(e, "")
	for i, n := range list {
		for _, c := range n.Checks {
			if _, twice := byCheck[c]; twice {
				t.Errorf("%s is behind two needs", c)
			}
			byCheck[c] = n
		}
		if n.Broken > len(n.Paths) || len(n.Services) == 0 || n.State.Rank() <= 0 {
			t.Errorf("%s: %d of %d paths broken, services %v, %s", n.Root, n.Broken, len(n.Paths), n.Services, n.State)
		}
		if i > 0 && n.Broken > list[i-1].Broken {
			t.Errorf("%s breaks more than the one above it", n.Root)
		}
	}
	ledger := byCheck["payments/ledger/offsite"]
	if ledger.State != holdfast.Broken || !slices.Contains(ledger.Paths, "payments/restore-in-ams") || ledger.Root != "restic repository=s3:https://s3.vault.example/ledger" {
		t.Errorf("the ledger's vault: got %+v", ledger)
	}
	// The same repository looked at by a check of another service.
	k := e.catalogue.Check("warehouse/stock/vault")
	k.With, k.Probe = e.catalogue.Check("shop/catalogue/vault").With, "restic.repository"
	for _, n := range web.BreaksMost(e, "") {
		if slices.Contains(n.Checks, "shop/catalogue/vault") && (!slices.Contains(n.Services, "warehouse") || n.Broken < 2) {
			t.Errorf("a shared repository: got services %v and %d paths, want shop and warehouse together", n.Services, n.Broken)
		}
	}
}

func TestPathsPage(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	doc := page(t, h, "/paths")
	if got := words(one(t, doc, "h1", tag("h1"))); got != "3 of 10 recovery paths are proven in every scenario they cover." {
		t.Errorf("sentence: got %q", got)
	}
	matrix := one(t, doc, "matrix", id("matrix"))
	cells := 0
	for _, a := range find(matrix, class("mc")) {
		service, hash, _ := strings.Cut(attr(a, "href"), "#")
		if len(find(page(t, h, service), id(hash))) != 1 {
			t.Errorf("cell leads nowhere: %s", attr(a, "href"))
		}
		cells++
	}
	asked := 0
	for _, p := range e.postures {
		for _, s := range p.Scenarios {
			if s.AskedBy != "" {
				continue
			}
			asked++
			row := one(t, matrix, p.Name, id("m-"+p.Name))
			said := ""
			for _, td := range find(row, func(n *html.Node) bool { return attr(n, "data-s") != "" }) {
				if strings.EqualFold(strings.ReplaceAll(attr(td, "data-s"), " ", "-"), s.Name) {
					said = words(td)
				}
			}
			if !strings.HasPrefix(strings.ToLower(said), string(s.State)) {
				t.Errorf("%s in %s: cell says %q, want %s", p.Name, s.Name, said, s.State)
			}
		}
	}
	if cells != asked {
		t.Errorf("got %d cells, want %d", cells, asked)
	}
	upgraded := newEstate(t, at(noon), troubled(noon), func(o *holdfast.Observation) {
		if o.Check == "payments/receipts/vault" {
			o.Fingerprint = map[string]string{"tool": "restic 0.17"}
		}
	})
	if got := words(one(t, page(t, handler(t, upgraded), "/paths"), "stale", id("stale"))); !strings.Contains(got, "by change") || !strings.Contains(got, "by age") || !strings.Contains(got, "since then tool changed from restic 0.16 to restic 0.17") {
		t.Errorf("what went stale does not say why: %s", got)
	}
	if got := words(one(t, doc, "untested", id("untested"))); !strings.Contains(got, "Reports for management") || !strings.Contains(got, "never") {
		t.Errorf("what was never shown: %s", got)
	}
	for query, want := range map[string]int{
		"": 10, "state=proven": 3, "scenario=flood": 1, "tier=4": 2, "owner=payments-team": 2, "q=standby": 1, "scenario=site-loss&state=broken": 1, "q=nothing-like-it": 0,
	} {
		doc := page(t, h, "/paths?view=list&"+query)
		rows := find(doc, func(n *html.Node) bool {
			return n.Data == "tr" && n.Parent != nil && n.Parent.Parent != nil && strings.Contains(attr(n.Parent.Parent, "class"), "ways") && attr(n, "id") != ""
		})
		if len(rows) != want {
			t.Errorf("list of %q: got %d paths, want %d", query, len(rows), want)
		}
	}
	if got := find(one(t, page(t, h, "/paths?scenario=ransomware&state=broken"), "matrix", id("matrix")), class("mc")); len(got) != 1 {
		t.Errorf("services whose data ransomware takes: got %d cells, want the shop's", len(got))
	}
}

func TestNoPaths(t *testing.T) {
	e := newEstate(t, at(noon))
	e.postures, e.catalogue = nil, &holdfast.Catalogue{Policy: holdfast.DefaultPolicy()}
	if got := words(one(t, page(t, handler(t, e), "/paths"), "first steps", id("first"))); !strings.Contains(got, "holdfast catalog validate") {
		t.Errorf("first steps name no command: %q", got)
	}
}

// TestPagesAndAPISayTheSame: the rows of /data and /paths are those of the API,
// page by page.
func TestPagesAndAPISayTheSame(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	var rows []web.ProtectedDataset
	sentence := ""
	for cursor := ""; ; {
		var got web.ProtectedData
		resp := ask(t, h, "viewer", "GET", "/api/v1/data?limit=3&cursor="+cursor, "")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("got %d: %s", resp.StatusCode, text(t, resp))
		}
		if err := json.Unmarshal([]byte(text(t, resp)), &got); err != nil {
			t.Fatal(err)
		}
		rows, sentence = append(rows, got.Datasets...), got.Sentence
		if cursor = url.QueryEscape(got.Next.Next); cursor == "" {
			break
		}
	}
	var names []string
	for _, d := range rows {
		names = append(names, d.Dataset)
		if want := protected(t, e, d.Service, d.Dataset); d.State != want.State || d.Reason != want.Reason || d.RuleMet != want.RuleMet {
			t.Errorf("%s/%s: the API says %s, %q; the page %s, %q", d.Service, d.Dataset, d.State, d.Reason, want.State, want.Reason)
		}
	}
	if diff := cmp.Diff(rowsOf(t, h, "/data?sort=dataset"), names); diff != "" {
		t.Errorf("datasets (-page +API):\n%s", diff)
	}
	if head := words(one(t, page(t, h, "/data"), "h1", tag("h1"))); !strings.HasPrefix(sentence, head) {
		t.Errorf("the page says %q, the API %q", head, sentence)
	}
	var paths web.RecoveryPaths
	if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/paths?state=proven", ""))), &paths); err != nil {
		t.Fatal(err)
	}
	if len(paths.Paths) != 3 || paths.Total != 3 {
		t.Errorf("proven paths: got %d of %d, want 3", len(paths.Paths), paths.Total)
	}
}
