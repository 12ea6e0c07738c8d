package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
)

// checksPerService is how many checks serviceText holds.
const checksPerService = 10

// serviceText is one service: two copies at two sites, a path for each with its
// tests, two needs each. Of ten services nine depend on the first.
//
// %[1]s service, %[2]d tier, %[3]s…%[12]s the agents of its checks in the order of
// their IDs, %[13]s what it depends on, %[14]s a further need of both paths.
const serviceText = `---
service: %[1]s
owner: ops
tier: %[2]d
site: fra
host: %[1]s-db
bia: {rto: 4h, rpo: 24h, mtpd: 2d, reviewed: {{today}}}
%[13]sdata:
  db:
    medium: disk
    copies:
      far:  {probe: restic.repository, on: %[3]s, host: %[1]s-s3, site: ams, medium: object, immutable: true, every: 5m, with: {repository: /srv/%[1]s, password_file: /etc/key}}
      near: {probe: restic.repository, on: %[4]s, host: %[1]s-nas, site: fra, medium: disk, every: 5m, with: {repository: /srv/%[1]s, password_file: /etc/key}}
paths:
  restore:
    covers: [site-loss, ransomware, data-corruption]
    at: ams
    from: [db/far]
    needs:
      - {name: port, probe: net.tcp, on: %[6]s, host: %[1]s-dr, every: 1m, with: {address: "dr:5432"}}
      - {name: room, probe: host.capacity, on: %[8]s, host: %[1]s-dr, every: 1m, with: {path: /srv/%[1]s, free: 20GiB}}
      - {plan: scp}
      - {team: ops, trained: 1}
%[14]s    tests:
      intact:   {probe: restic.check, on: %[5]s, every: 1d, with: {repository: /srv/%[1]s, password_file: /etc/key}}
      restored: {probe: restic.restore, on: %[7]s, every: 7d, with: {repository: /srv/%[1]s, password_file: /etc/key}}
  return:
    covers: [host-loss, data-corruption]
    at: fra
    from: [db/near]
    needs:
      - {name: port, probe: net.tcp, on: %[10]s, host: %[1]s-b, every: 1m, with: {address: "b:5432"}}
      - {name: room, probe: host.capacity, on: %[12]s, host: %[1]s-b, every: 1m, with: {path: /srv/%[1]s, free: 20GiB}}
      - {plan: scp}
      - {team: ops, trained: 1}
%[14]s    tests:
      intact:   {probe: restic.check, on: %[9]s, every: 1d, with: {repository: /srv/%[1]s, password_file: /etc/key}}
      restored: {probe: restic.restore, on: %[11]s, every: 7d, with: {repository: /srv/%[1]s, password_file: /etc/key}}
`

const sharedText = `site: fra
---
site: ams
---
team: ops
members: [{name: ann, trained: {scp: {{today}}}}]
---
plan: scp
version: 1
owner: ops
approver: ann
approved: {{today}}
review: 365d
activation: "when the duty manager says so"
recovery: "restore, start, check"
return: "move back at night"
kept: [{site: fra}, {site: ams}]
`

// vaultText is a service whose repository others need: %[1]s.
const vaultText = `---
service: %[1]s
owner: ops
tier: 1
site: fra
host: %[1]s-db
bia: {rto: 4h, rpo: 24h, mtpd: 2d, reviewed: {{today}}}
data:
  db:
    medium: disk
    copies:
      offsite: {probe: restic.repository, on: bench-0001, host: %[1]s-s3, site: ams, medium: object, immutable: true, every: 5m, with: {repository: /srv/%[1]s, password_file: /etc/key}}
paths:
  restore:
    covers: [site-loss, ransomware, data-corruption, host-loss]
    at: ams
    from: [db/offsite]
    needs:
      - {plan: scp}
      - {team: ops, trained: 1}
`

func vaultName(i int) string { return fmt.Sprintf("vault-%02d", i) }

// vaultCheck is the check of a vault's repository.
func vaultCheck(vault string) string { return vault + "/db/offsite" }

const servicesPerFile = 500

// writeCatalogue writes the services into dir. Checks go to agents in order, so
// that a service's are seen by one agent or two.
func writeCatalogue(dir string, o Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	today := strings.NewReplacer("{{today}}", time.Now().UTC().Format("2006-01-02"))
	var b bytes.Buffer
	b.WriteString(today.Replace(sharedText))
	for i := range o.vaults {
		fmt.Fprintf(&b, today.Replace(vaultText), vaultName(i))
	}
	text := today.Replace(serviceText)
	for i := range o.Services {
		name, depends := serviceName(i), ""
		if first := i / 10 * 10; first != i {
			depends = fmt.Sprintf("depends_on: [{service: %s, kind: required}]\n", serviceName(first))
		}
		args := []any{name, i%4 + 1}
		for k := range checksPerService {
			args = append(args, agentName((i*checksPerService+k)*o.Agents/(o.Services*checksPerService)))
		}
		need := ""
		if o.vaults > 0 {
			need = fmt.Sprintf("      - {check: %s, name: vault}\n", vaultCheck(vaultName(i%o.vaults)))
		}
		fmt.Fprintf(&b, text, append(args, depends, need)...)
		if i%servicesPerFile == servicesPerFile-1 || i == o.Services-1 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.yaml", i/servicesPerFile)), b.Bytes(), 0o600); err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			b.Reset()
		}
	}
	return nil
}

func serviceName(i int) string { return fmt.Sprintf("s%05d", i) }

func agentName(i int) string { return fmt.Sprintf("bench-%04d", i+1) }

// kind is what a probe of the catalogue sees: encoded as it goes over the wire,
// good and bad.
type kind struct {
	good, bad sight
	counts    []int64 // of good; the last one moves
	measures  int
	text      func(n uint64) sight // good, in other words
}

type sight struct {
	body   []byte
	digest uint64
}

// kinds returns what each probe of the catalogue says, as of now.
func kinds(now time.Time) (map[string]*kind, error) {
	now = now.UTC().Truncate(time.Second)
	seen := map[string]holdfast.Observation{
		"restic.repository": {RecoveryPoints: []holdfast.RecoveryPoint{{Time: now.Add(-20 * time.Minute), ID: "f6a3c1d2", Bytes: 41 << 30, Files: 81_204},
			{Time: now.Add(-80 * time.Minute), ID: "77ab01c4", Bytes: 41 << 30, Files: 81_190}},
			Fingerprint: map[string]string{"tool": "restic 0.16.4"}},
		"restic.check": {Verification: &holdfast.Verification{Time: now.Add(-3 * time.Hour), Scope: 1}, Fingerprint: map[string]string{"tool": "restic 0.16.4"}},
		"restic.restore": {Restoration: &holdfast.Restoration{Started: now.Add(-5 * time.Hour), Duration: holdfast.Duration(38 * time.Minute), Bytes: 41 << 30, Files: 81_190,
			Coverage: 1, Checks: 81_190, Point: now.Add(-6 * time.Hour)}},
		"host.capacity": {Capacity: &holdfast.Capacity{Needed: 20 << 30, Free: 412 << 30}},
		"net.tcp":       {},
	}
	all := map[string]*kind{}
	for name, o := range seen {
		o.Outcome, o.Summary = holdfast.OK, name+": as it should be"
		o.Measures = []holdfast.Measure{{Name: "seconds", Unit: "seconds"}, {Name: "used_bytes", Unit: "bytes"}}
		encode := func(o holdfast.Observation) (sight, []int64, error) {
			r, err := wire.FromResult(&o)
			return sight{r.GetBody(), r.GetDigest()}, r.GetCounts(), err
		}
		k := &kind{measures: len(o.Measures)}
		bad := o
		bad.Outcome, bad.Reason, bad.Summary = holdfast.Failed, holdfast.Assertion, name+": not as it should be"
		if name == "restic.repository" {
			bad.Reason = holdfast.Damaged
		}
		var err, badErr error
		k.good, k.counts, err = encode(o)
		k.bad, _, badErr = encode(bad)
		if err := errors.Join(err, badErr); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		k.text = func(n uint64) sight {
			said := o
			said.Summary = fmt.Sprintf("%s: as it should be, said in other words the %d. time", name, n)
			s, _, err := encode(said)
			if err != nil {
				return k.good // cannot be: it differs from what was encoded above by a few letters
			}
			return s
		}
		all[name] = k
	}
	return all, nil
}
