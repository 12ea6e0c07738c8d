package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"holdfast": func() { os.Exit(program()) },
		// The program runs itself as /proc/self/exe. Without this a child would be
		// the tests again, and start children of its own.
		"exe": func() { os.Exit(program()) },
	})
}

// TestScripts runs the end-to-end scripts over the real commands.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"eventually": eventually},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
	})
}

// eventually runs a command again and again until its output matches:
//
//	eventually 20s 'connected' holdfast agents list
//
// With ! it waits until it does not match. What it prints last is shown where
// time runs out.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: [!] eventually DURATION REGEXP COMMAND ARG...")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		cmd := exec.CommandContext(ctx, args[2], args[3:]...)
		cmd.Dir = ts.Getenv("WORK")
		cmd.Env = []string{}
		for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "HOLDFAST_URL", "HOLDFAST_TOKEN", "HOLDFAST_CA", "GOCOVERDIR"} {
			cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
			ts.Fatalf("%v: %v", args[2:], err)
		}
		if pattern.Match(out) != neg && ctx.Err() == nil {
			ts.Logf("%s", bytes.TrimSpace(out))
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%q was not seen within %s; last:\n%s", args[1], limit, out)
		case <-again.C:
		}
	}
}
