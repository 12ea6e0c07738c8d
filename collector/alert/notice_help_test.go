package alert_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// damaged is a notice of one damaged repository that three services restore from.
func damaged(status holdfast.AlertStatus) alert.Notice {
	now := time.Now()
	n := alert.Notice{
		ID: "n-0001", Status: status, Route: "everything", URL: "https://holdfast.example.org", At: now,
		Alert: holdfast.Alert{
			ID: "a1b2c3", Kind: holdfast.PointFailed, Cause: "payments/ledger/offsite", Check: "payments/ledger/offsite",
			Agent: "dr1", Host: "s3", Site: "ams", Severity: holdfast.Critical, Status: status,
			What:   "The copy payments/ledger/offsite is damaged",
			Effect: "takes 3 paths of 3 services down; 14 min of data at risk, 5 min agreed",
			Next:   "Run restic check --read-data on dr1 and repair or replace the repository",
			Link:   "/services/payments", Tier: 1, Owners: []string{"payments-team"}, Services: []string{"payments", "settlement", "reporting"},
			Paths: []holdfast.AlertPath{{Service: "payments", Path: "restore-in-ams", State: holdfast.Broken}},
			Since: now.Add(-4 * time.Minute).UTC(), Fired: now.Add(-3 * time.Minute).UTC(),
		},
	}
	if status == holdfast.AlertResolved {
		n.ID, n.Alert.Resolved = "n-0002", now.UTC()
	}
	return n
}

// file writes a file only its owner reads, and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// receivers reads receivers as an operator writes them; one route sends to all.
func receivers(t *testing.T, yaml string, to string) []alert.Receiver {
	t.Helper()
	routes, err := alert.ParseRoutes("alerts.yaml", []byte("receivers:\n"+yaml+"\nroutes: [{name: everything, to: ["+to+"]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return routes.Routes[0].Receivers
}
