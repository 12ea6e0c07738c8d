package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestContract(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, newest{},
		probe.Request{Settings: holdfast.Settings(fmt.Sprintf(`{"folder":%q}`, dir))},
		probe.Request{Settings: `{"folder":"/no/such/folder"}`},
	)
}
