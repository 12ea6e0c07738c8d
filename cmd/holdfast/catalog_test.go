package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestExampleCatalog validates the shipped example against the probes and finding
// codes of this very binary: a setting or cost it does not know fails here.
func TestExampleCatalog(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"catalog", "validate", "../../deploy/catalog"}, nil, &stdout, &stderr)
	if code != exitDone || !strings.Contains(stdout.String(), "; 0 warnings") {
		t.Errorf("exit %d, want %d and no warnings:\n%s%s", code, exitDone, &stdout, &stderr)
	}
}
