// Package dashboards makes what Prometheus and Grafana show of a collector: three
// Grafana dashboards and the README that lists every panel and rule. Queries are
// written here beside the question they answer, and a test holds them against the
// collector's own list of metrics, so that no name can rot.
//
//   - grafana.go: the part of Grafana's model that is used, and the layout
//   - estate.go, service.go, protection.go: one dashboard each
//   - rules.go, readme.go: rules/holdfast.yaml read, the README written
//
// Nothing of the program imports this package; `make generate` writes its files.
package dashboards

import "fmt"

// Files returns every generated file by its name in this directory. Rules is the
// content of rules/holdfast.yaml.
func Files(rules []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	all := All()
	for _, d := range all {
		b, err := d.JSON()
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
		}
		files[d.UID+".json"] = b
	}
	groups, err := ReadRules(rules)
	if err != nil {
		return nil, err
	}
	if files["README.md"], err = readme(all, groups); err != nil {
		return nil, err
	}
	return files, nil
}

// All returns the dashboards.
func All() []Dashboard { return []Dashboard{estate(), service(), protection()} }
