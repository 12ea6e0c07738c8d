package agent_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// TestMain serves a plugin when an agent under test runs this binary again.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "plugin" && os.Args[2] == "self" {
		probe.Serve(countProbe{})
		return
	}
	goleak.VerifyTestMain(m)
}
