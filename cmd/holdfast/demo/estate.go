package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// sites are the agents of the demo, and where each stands.
var sites = map[string]string{"fra1": "fra", "ams1": "ams"}

// services are those of the calm catalogue.
var services = []string{"identity", "payments", "orders", "webshop", "reporting", "intranet"}

// kept says where each dataset is backed up to, and how; with restic where it is
// installed.
var kept = []struct {
	dataset string // SERVICE/DATASET
	copies  map[string]string
}{
	{"identity/directory", map[string]string{"nas": "archive", "vault": "archive"}},
	{"payments/ledger", map[string]string{"nas": "archive", "vault": "restic"}},
	{"orders/book", map[string]string{"nas": "archive", "vault": "restic"}},
	{"webshop/catalogue", map[string]string{"nas": "archive", "vault": "archive"}},
	{"reporting/cube", map[string]string{"nas": "restic", "vault": "archive"}},
	{"intranet/pages", map[string]string{"vault": "archive"}},
	{projectData, map[string]string{"vault": "restic"}},
}

// projectData is that of the projects, which come and go.
const projectData = "project/files"

// siteOf is where a copy of that name stands.
var siteOf = map[string]string{"nas": "fra", "vault": "ams"}

// plans says at which site a copy of each plan is kept.
var plans = map[string]string{"move-to-ams": "ams", "payments-recovery": "ams", "restore-at-home": "fra"}

// store is where backups of a dataset go.
type store interface {
	create(ctx context.Context) error
	backup(ctx context.Context, data string) error
	// restore brings the newest point back into an empty folder and checks what
	// came back.
	restore(ctx context.Context, into string) (restored, error)
	// damage damages the newest data and returns what makes it as it was.
	damage() (repair func() error, err error)
}

// restored is what a restore brought back.
type restored struct {
	point time.Time // the moment its data is of
	bytes int64
}

// estate is what the organisation has.
type estate struct {
	folder    string // everything lies below it
	restic    string // the program; empty: not installed
	datasets  []*dataset
	authority *authority
	endpoints map[string]*endpoint // by name
}

// dataset is data that changes as the organisation works, and its backups.
type dataset struct {
	name   string // SERVICE/DATASET
	folder string
	files  int
	stores map[string]store // by the copy's name
	change *rand.Rand
}

// newEstate plans an estate below the demo's folder; projects come and go where it
// lives.
func newEstate(folder string, live bool) (*estate, error) {
	e := &estate{folder: filepath.Join(folder, "estate"), endpoints: map[string]*endpoint{}}
	e.restic = findRestic()
	for i, k := range kept {
		if k.dataset == projectData && !live {
			continue
		}
		d := &dataset{name: k.dataset, folder: e.path("fra", "data", k.dataset), files: 12, stores: map[string]store{},
			change: rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))}
		for name, kind := range k.copies {
			site := siteOf[name]
			dir := e.path(site, name, k.dataset)
			if kind == "restic" && e.restic != "" {
				d.stores[name] = &repository{program: e.restic, dir: dir, password: e.path(site, "keys", k.dataset), tmp: filepath.Join(folder, "tmp")}
			} else {
				d.stores[name] = &archive{dir: dir, name: filepath.Base(k.dataset)}
			}
		}
		e.datasets = append(e.datasets, d)
	}
	var err error
	e.authority, err = newAuthority(e.path("ams", "ca.pem"))
	return e, err
}

// findRestic looks where agents look for tools; empty: it is not installed.
func findRestic() string {
	for _, file := range []string{"/usr/bin/restic", "/usr/local/bin/restic"} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// path returns the folder of something at a site.
func (e *estate) path(site, kind string, name ...string) string {
	for i := range name {
		name[i] = strings.ReplaceAll(name[i], "/", "-")
	}
	return filepath.Join(append([]string{e.folder, site, kind}, name...)...)
}

func (e *estate) dataset(name string) *dataset {
	for _, d := range e.datasets {
		if d.name == name {
			return d
		}
	}
	return nil
}

// build makes the data and backs it up twice, puts plans where they are needed,
// and serves the standby endpoints.
func (e *estate) build(ctx context.Context) error {
	for _, name := range []string{"ams", "fra"} {
		if err := os.MkdirAll(filepath.Join(e.folder, name), 0o700); err != nil {
			return err
		}
	}
	var making sync.WaitGroup
	faults := make([]error, len(e.datasets))
	for i, d := range e.datasets {
		making.Go(func() { faults[i] = d.build(ctx) })
	}
	making.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for plan := range plans {
		if err := e.keepPlan(ctx, plan); err != nil {
			return fmt.Errorf("plan %s: %w", plan, err)
		}
	}
	return e.serve(ctx)
}

// keepPlan puts a readable copy of a plan at the site where it is needed.
func (e *estate) keepPlan(ctx context.Context, plan string) error {
	dir := filepath.Join(e.folder, "plans", plan)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text := "Plan " + plan + "\n\nA plan of this demo. Its steps stand in the catalogue, plans.yaml.\n"
	if err := os.WriteFile(filepath.Join(dir, plan+".md"), []byte(text), 0o600); err != nil {
		return err
	}
	a := e.planArchive(plan)
	if err := a.create(ctx); err != nil {
		return err
	}
	return a.backup(ctx, dir)
}

// planArchive is where a plan's copy is kept.
func (e *estate) planArchive(plan string) *archive {
	return &archive{dir: e.path(plans[plan], "plans", plan), name: plan}
}

func (e *estate) close() {
	for _, p := range e.endpoints {
		p.close()
	}
}

// fileSize is the size of one file of a dataset. It stays the same, so that
// restores take about the same time.
const fileSize = 24 << 10

func (d *dataset) build(ctx context.Context) error {
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return err
	}
	for n := range d.files {
		if err := d.write(n); err != nil {
			return err
		}
	}
	for name, s := range d.stores {
		if err := s.create(ctx); err != nil {
			return fmt.Errorf("%s/%s: %w", d.name, name, err)
		}
	}
	return d.backup(ctx)
}

// backup backs the data up into every copy.
func (d *dataset) backup(ctx context.Context) error {
	var faults []error
	for name, s := range d.stores {
		if err := s.backup(ctx, d.folder); err != nil {
			faults = append(faults, fmt.Errorf("%s/%s: %w", d.name, name, err))
		}
	}
	return errors.Join(faults...)
}

// work is a day's work on the data: one file is written anew.
func (d *dataset) work() error { return d.write(d.change.IntN(d.files)) }

// write writes one file: lines with a number each, which compress as real data
// does.
func (d *dataset) write(n int) error {
	var text strings.Builder
	for line := 0; text.Len() < fileSize-80; line++ {
		fmt.Fprintf(&text, "%05d;%s;%012d;%016x\n", line, filepath.Base(d.name), d.change.Uint32(), d.change.Uint64())
	}
	text.WriteString(strings.Repeat("#", fileSize-1-text.Len()) + "\n")
	return os.WriteFile(filepath.Join(d.folder, fmt.Sprintf("part-%02d.csv", n)), []byte(text.String()), 0o600)
}
