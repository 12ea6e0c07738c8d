package files_test

import (
	"os"
	"testing"

	"github.com/holdfast-monitor/holdfast/plugins/files"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
)

func TestMain(m *testing.M) {
	probetest.RestoreVictim(files.Probes()...)
	os.Exit(m.Run())
}
