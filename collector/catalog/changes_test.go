package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

func parse(t *testing.T, text string) *holdfast.Catalogue {
	t.Helper()
	c, err := catalog.Parse(map[string][]byte{"catalog.yaml": []byte(text)}, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func summary(before, after *holdfast.Catalogue) []string {
	var out []string
	for _, c := range catalog.Changes(before, after) {
		out = append(out, c.String())
	}
	return out
}

func TestChanges(t *testing.T) {
	before := parse(t, `
site: fra
---
site: ams
---
plan: scp
version: 7
---
plan: old
---
service: payments
tier: 1
site: fra
bia: {rto: 1h, rpo: 15m, scenarios: {ransomware: {rto: 8h}}}
data:
  ledger:
    copies:
      offsite: {probe: x.y, on: dr1, every: 5m, with: {a: 1}}
      tape: {}
paths:
  restore: {covers: [site-loss], at: ams, from: [ledger/offsite], needs: [{plan: scp}]}
---
service: shop
tier: 3
`)
	after := parse(t, `
policy: ours
tiers: {1: {intact: 3d}}
---
site: fra
---
site: ams
title: Amsterdam
---
plan: scp
version: 8
---
plan: new
---

# moved down: no change
service: payments
tier: 1
site: fra
bia: {rto: 2h, rpo: {none: kept elsewhere}}
data:
  ledger:
    copies:
      offsite: {probe: x.y, on: dr2, every: 5m, with: {a: 2}}
  cache: {}
paths:
  restore: {covers: [site-loss, ransomware], at: ams, from: [ledger/offsite], needs: [{plan: scp}, {plan: new}]}
---
service: store
was: shop
tier: 2
`)
	want := []string{
		"policy: tiers.1.intact changed from 1w to 3d",
		"site ams: title added: Amsterdam",
		"plan new: added",
		"plan scp: version changed from 7 to 8",
		"plan old: removed",
		"service payments: bia.rpo.limit removed: 15m",
		"service payments: bia.rpo.none added: kept elsewhere",
		"service payments: bia.rto.limit changed from 1h to 2h",
		"service payments: bia.scenarios removed",
		"service payments: data.cache added",
		"service payments: data.ledger.copies.offsite.check.on changed from dr1 to dr2",
		"service payments: data.ledger.copies.offsite.check.with.a changed from 1 to 2",
		"service payments: data.ledger.copies.tape removed",
		"service payments: paths.restore.covers changed from site-loss to ransomware, site-loss",
		"service payments: paths.restore.needs.new added",
		"service store: renamed from shop",
		"service store: tier changed from 3 to 2",
	}
	got := summary(before, after)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("changes (-got +want):\n%s", diff)
	}
	if got := summary(after, after); got != nil {
		t.Errorf("same catalogue: got %q, want nothing", got)
	}
	if got, want := summary(nil, before)[0], "site ams: added"; got != want {
		t.Errorf("first catalogue: got %q, want %q", got, want)
	}
}
