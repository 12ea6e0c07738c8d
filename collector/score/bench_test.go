package score_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
)

// bigEstate is n services of ten checks each, one in a hundred broken, all
// depending on a shared one, with facts for every check.
func bigEstate(n int) (*holdfast.Catalogue, *score.Facts) {
	w := &world{}
	c := &holdfast.Catalogue{
		Policy: holdfast.DefaultPolicy(),
		Sites:  []holdfast.Site{{Name: "ams", Supplier: "beta"}, {Name: "fra", Supplier: "alpha"}},
		Teams:  []holdfast.Team{{Name: "dba", Members: []holdfast.Member{{Name: "ann", Trained: map[string]holdfast.Date{"scp": date(ago(30 * day))}}}}},
		Plans:  []holdfast.Plan{{Name: "scp", Version: "7", Approved: date(ago(20 * day)), Kept: []holdfast.KeptCopy{{Site: "ams"}}}},
	}
	f := score.NewFacts()
	f.Advance(now)
	for i := range n {
		s := bigService(fmt.Sprintf("s%05d", i), i)
		if i > 0 {
			s.DependsOn = []holdfast.Dependency{{Service: "s00000", Kind: holdfast.Required}}
		}
		c.Services = append(c.Services, s)
		for k := range s.Checks {
			o := holdfast.Observation{Check: k.ID, Agent: k.On, Seq: 1, At: ago(minute), Received: ago(minute), Outcome: holdfast.OK}
			switch k.Probe {
			case "restic.repository":
				w.points(3*minute, 5*minute)(&o)
				o.Immutable = yes()
			case "host.capacity":
				o.Capacity = &holdfast.Capacity{Free: 500 * gib}
			case "restic.check":
				verified(day)(&o)
			case "restic.restore":
				restored(2*day, 30*minute, 100*gib)(&o)
			case "net.tcp":
				if i%100 == 7 {
					failed(holdfast.Unreachable)(&o)
				}
			}
			f.Observe(o)
		}
		f.Record(holdfast.Record{
			At: ago(10 * day), Kind: holdfast.Exercise, Service: s.Name, Path: "restore", By: "cm", Plan: "scp", Version: "7", Site: "ams",
			Outcome: holdfast.OK, Started: ago(10*day + hour), Duration: 40 * minute, Point: ago(10*day + hour + 5*minute), Bytes: 100 * gib, People: []string{"ann"},
		})
	}
	return c, f
}

func bigService(name string, i int) holdfast.Service {
	id := func(rest string) string { return name + "/" + rest }
	copyAt := func(copy, site, host string) holdfast.Copy {
		return holdfast.Copy{Name: copy, Kind: holdfast.Backup, Site: site, Host: host, Medium: host, Check: check(id("data/"+copy), "restic.repository", host, 5*minute)}
	}
	s := holdfast.Service{
		Name: name, Tier: 1 + i%4, Site: "fra", Host: fmt.Sprintf("h%d", i),
		BIA:      &holdfast.BIA{RTO: holdfast.Objective{Limit: 2 * hour}, RPO: holdfast.Objective{Limit: 15 * minute}, Reviewed: date(ago(30 * day))},
		Datasets: []holdfast.Dataset{{Name: "data", Copies: []holdfast.Copy{{Name: "primary", Kind: holdfast.Primary, Site: "fra"}, copyAt("far", "ams", "dr1"), copyAt("near", "fra", "nas1")}}},
	}
	for _, p := range []struct{ name, copy, at string }{{"restore", "far", "ams"}, {"return", "near", "fra"}} {
		path := holdfast.Path{
			Name: p.name, At: p.at, Covers: []string{holdfast.DataCorruption, holdfast.HostLoss, holdfast.Ransomware, holdfast.SiteLoss},
			From: []holdfast.CopyRef{{Dataset: "data", Copy: p.copy}},
			Tests: []holdfast.Test{
				{Rung: holdfast.Intact, Check: *check(id(p.name+"/intact"), "restic.check", "dr1", day)},
				{Rung: holdfast.Restored, Check: *check(id(p.name+"/restored"), "restic.restore", "dr1", 7*day)},
			},
		}
		for _, n := range []struct{ name, probe string }{{"room", "host.capacity"}, {"port", "net.tcp"}} {
			path.Needs = append(path.Needs, holdfast.Need{ID: id(p.name + "/" + n.name), Name: n.name, Site: p.at, Host: "x", Check: check(id(p.name+"/"+n.name), n.probe, "dr1", minute)})
		}
		path.Needs = append(path.Needs, holdfast.Need{ID: id(p.name + "/scp"), Name: "scp", Plan: "scp"}, holdfast.Need{ID: id(p.name + "/dba"), Name: "dba", Team: "dba", Trained: 1})
		s.Paths = append(s.Paths, path)
	}
	return s
}

// BenchmarkJudgeEstate judges 10,000 services, 100,000 checks, from scratch.
func BenchmarkJudgeEstate(b *testing.B) {
	c, f := bigEstate(10_000)
	m := score.NewModel(c)
	b.ReportAllocs()
	states := map[holdfast.State]int{}
	for b.Loop() {
		clear(states)
		for _, p := range m.Judge(f, now) {
			states[p.State]++
		}
	}
	if states[holdfast.Broken] == 0 || len(states) < 2 {
		b.Fatalf("the estate is not a mixed one: %v", states)
	}
}

// BenchmarkRejudgeOne judges one changed service among 10,000.
func BenchmarkRejudgeOne(b *testing.B) {
	c, f := bigEstate(10_000)
	m := score.NewModel(c)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.JudgeService(f, c.Services[i%len(c.Services)].Name, now)
	}
}

// BenchmarkNewModel indexes a catalogue of 10,000 services.
func BenchmarkNewModel(b *testing.B) {
	c, _ := bigEstate(10_000)
	for b.Loop() {
		score.NewModel(c)
	}
}

// BenchmarkRepeat is the hot path: the same facts, a newer time.
func BenchmarkRepeat(b *testing.B) {
	c, f := bigEstate(1_000)
	m := score.NewModel(c)
	var ids, on []string
	for k := range c.Checks {
		ids, on = append(ids, k.ID), append(on, k.On)
	}
	f.Advance(now.AddDate(1, 0, 0))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := ago(minute).Add(time.Duration(i))
		if _, ok := m.Repeat(f, ids[i%len(ids)], on[i%len(ids)], uint64(i+2), at, at.Add(1)); !ok {
			b.Fatalf("%s cannot be repeated", ids[i%len(ids)])
		}
	}
}
