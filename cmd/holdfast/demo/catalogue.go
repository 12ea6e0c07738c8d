package demo

import (
	"bytes"
	"embed"
	"fmt"
	"path/filepath"
	"strconv"
	"text/template"
	"time"
)

//go:embed catalogue/*.yaml
var catalogueFiles embed.FS

// terms are what the demo declares. Some change while it lives; the rest stands in
// the files under catalogue.
type terms struct {
	estate  *estate
	written map[string]string // file → as last written

	Restic        bool
	Folder        string // quoted, as paths in the catalogue are
	PaymentsPlan  int    // the version of plan payments-recovery
	ShopImmutable bool
	Project       string // the newest project; empty: none yet
	ProjectSince  string
	ProjectTested bool // its path has a restore test
}

func newTerms(e *estate) *terms {
	return &terms{estate: e, written: map[string]string{}, Restic: e.restic != "", Folder: strconv.Quote(e.folder), PaymentsPlan: 7, ShopImmutable: true}
}

// project sets up a new project in place of the one before.
func (t *terms) project(n int) {
	t.Project, t.ProjectTested = fmt.Sprintf("project-%d", n), false
	t.ProjectSince = time.Now().UTC().Format(time.RFC3339)
}

// write writes the catalogue into a folder: the files that differ from what it
// wrote last, each as a whole. What somebody edits in the others stays.
func (t *terms) write(folder string) error {
	functions := template.FuncMap{"probe": t.probe, "test": t.test, "plan": t.plan, "endpoint": t.endpoint}
	entries, err := catalogueFiles.ReadDir("catalogue")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == "project.yaml" && t.Project == "" {
			continue
		}
		parsed, err := template.New(name).Funcs(functions).ParseFS(catalogueFiles, "catalogue/"+name)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, t); err != nil {
			return err
		}
		if t.written[name] == text.String() {
			continue
		}
		if err := writeWhole(filepath.Join(folder, name), text.Bytes()); err != nil {
			return err
		}
		t.written[name] = text.String()
	}
	return nil
}

// store returns a copy's store by SERVICE/DATASET/COPY.
func (t *terms) store(id string) (store, error) {
	name, dataset := filepath.Base(id), t.estate.dataset(filepath.Dir(id))
	if dataset == nil || dataset.stores[name] == nil {
		return nil, fmt.Errorf("there is no copy %s", id)
	}
	return dataset.stores[name], nil
}

// probe writes the probe that looks at a copy, with its settings.
func (t *terms) probe(id string) (string, error) {
	s, err := t.store(id)
	if err != nil {
		return "", err
	}
	if r, ok := s.(*repository); ok {
		return "probe: restic.repository, with: " + r.settings(), nil
	}
	return s.(*archive).probe(true), nil
}

// test writes a test of a copy, by one of restic's probes.
func (t *terms) test(probe, id string) (string, error) {
	s, err := t.store(id)
	if err != nil {
		return "", err
	}
	with := s.(*repository).settings()
	if probe == "restic.check" {
		with = with[:len(with)-1] + ", read_data_subset: 100%}"
	}
	return fmt.Sprintf("probe: %s, with: %s", probe, with), nil
}

// plan writes the probe that looks at a plan's kept copy.
func (t *terms) plan(name string) string {
	return t.estate.planArchive(name).probe(false)
}

// endpoint writes the settings of a probe that calls a standby endpoint.
func (t *terms) endpoint(name string) (string, error) {
	p := t.estate.endpoints[name]
	if p == nil {
		return "", fmt.Errorf("there is no endpoint %s", name)
	}
	return fmt.Sprintf("with: {address: %q, server_name: %s, ca_file: %q}", p.address, hostName(name), t.estate.authority.file), nil
}

func (r *repository) settings() string {
	return fmt.Sprintf("{repository: %q, password_file: %q}", r.dir, r.password)
}

// probe writes how an archive is looked at. Archives appear whole, so that they
// need no time to settle.
func (a *archive) probe(timed bool) string {
	form := ""
	if timed {
		form = `, name_time: "%Y%m%dT%H%M%S"`
	}
	return fmt.Sprintf("probe: files.archive, with: {directory: %q, pattern: %q, manifest: %q, settle: 0s%s}", a.dir, a.name+"-*.tar.gz", "{file}.sha256", form)
}
