package catalog_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// estate writes a catalogue of n services with 10 checks each, 100 to a file.
func estate(n int) map[string][]byte {
	files := map[string][]byte{"sites.yaml": []byte("site: fra\n---\nsite: ams\n---\nplan: scp\nversion: 1\n---\nteam: ops\n")}
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `---
service: s%05d
tier: %d
site: fra
host: h%d
bia: {rto: 4h, rpo: 1h, mtpd: 1d, reviewed: 2026-03-01}
data:
  db:
    probe: net.tcp
    on: h%[3]d
    every: 1m
    copies:
      a: {probe: files.archive, on: h1, every: 5m, with: {directory: /srv/a, count: 3}}
      b: {probe: files.archive, on: h2, every: 5m, site: ams, medium: object, immutable: true, with: {directory: /srv/b}}
      c: {probe: postgres.replica, on: h2, every: 15s, site: ams, host: dr1}
paths:
  restore:
    covers: [site-loss, ransomware, data-corruption, host-loss]
    at: ams
    from: [db/b]
    rto: 1h
    needs:
      - {probe: host.capacity, on: h2, every: 1m, with: {path: /srv, free: 200GiB}}
      - {probe: net.tls, on: h2, every: 1m, with: {address: "a:443"}}
      - {probe: net.dns, on: h2, every: 1m, with: {name: a.example.org}}
      - {plan: scp}
      - {team: ops, trained: 2}
    tests:
      intact: {probe: restic.check, on: h2, every: 1d}
      restored: {probe: restic.restore, on: h2, every: 7d}
`, i, i%4+1, i%500)
		if i%100 == 99 {
			files[fmt.Sprintf("s%03d.yaml", i/100)] = bytes.Clone(b.Bytes())
			b.Reset()
		}
	}
	return files
}

// BenchmarkParse10000 reads a catalogue of 10,000 services and 90,000 checks.
func BenchmarkParse10000(b *testing.B) {
	files, size := estate(10_000), 0
	for _, content := range files {
		size += len(content)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := catalog.Parse(files, catalog.Options{Probes: probes()}); err != nil {
			b.Fatal(err)
		}
	}
}
