package agent_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/agent"
)

// testTrust checks whom an agent does not run.
func testTrust(t *testing.T, dir, outside string) {
	program, err := os.ReadFile(outside)
	if err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(t.TempDir(), "ran")
	evil := []byte("#!/bin/sh\ntouch " + marker + "\necho not a handshake\n")
	put := func(t *testing.T, path string, content []byte, mode fs.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		sum     string // default: right
		want    string
		start   time.Duration // default: the host's
	}{
		{name: "right", prepare: func(t *testing.T, path string) {}},
		{name: "wrong checksum", prepare: func(t *testing.T, path string) { put(t, path, evil, 0o755) }, sum: "sha256:" + strings.Repeat("0", 64), want: "has checksum sha256:"},
		{name: "not a plugin", prepare: func(t *testing.T, path string) { put(t, path, []byte("#!/bin/sh\necho sorry >&2\nexit 3\n"), 0o755) }, want: `Unrecognized remote plugin message: ; it said last: "sorry"`},
		{name: "garbage handshake", prepare: func(t *testing.T, path string) {
			put(t, path, []byte("#!/bin/sh\necho '1|1|tcp|127.0.0.1:1|grpc|'\n"), 0o755)
		}, want: "not in the folder it was given"},
		{name: "no handshake", prepare: func(t *testing.T, path string) { put(t, path, []byte("#!/bin/sh\nsleep 1000\n"), 0o755) }, want: "timeout while waiting for plugin to start", start: time.Second},
		{name: "not executable", prepare: func(t *testing.T, path string) { put(t, path, program, 0o644) }, want: "permission denied"},
		{name: "no file", prepare: func(t *testing.T, path string) { remove(t, path) }, sum: "sha256:" + strings.Repeat("0", 64), want: "no such file"},
		{name: "a folder", prepare: func(t *testing.T, path string) { remove(t, path); put(t, path+"/x", evil, 0o755) }, sum: "sha256:" + strings.Repeat("0", 64), want: "is not a file"},
		{name: "a fifo", prepare: func(t *testing.T, path string) {
			remove(t, path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, sum: "sha256:" + strings.Repeat("0", 64), want: "is not a file"},
		{name: "writable by its group", prepare: func(t *testing.T, path string) { put(t, path, program, 0o775) }, want: "can be written to by others than root"},
		{name: "writable folder", prepare: func(t *testing.T, path string) { chmod(t, filepath.Dir(path), 0o777) }, want: "can be written to by others than root"},
		{name: "writable folder further up", prepare: func(t *testing.T, path string) { chmod(t, filepath.Dir(filepath.Dir(path)), 0o775) }, want: "can be written to by others than root"},
		{name: "somebody else's", prepare: func(t *testing.T, path string) { chown(t, path) }, want: "does not belong to root"},
		{name: "somebody else's folder", prepare: func(t *testing.T, path string) { chown(t, filepath.Dir(path)) }, want: "does not belong to root"},
		{name: "a symbolic link", prepare: func(t *testing.T, path string) { remove(t, path); link(t, outside, path) }, want: "is a symbolic link"},
		{name: "a folder that is a symbolic link", prepare: func(t *testing.T, path string) {
			real := filepath.Dir(path) + "-real"
			if err := os.Rename(filepath.Dir(path), real); err != nil {
				t.Fatal(err)
			}
			link(t, real, filepath.Dir(path))
		}, want: "is a symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"), "bin", "outside")
			put(t, path, program, 0o755)
			c.prepare(t, path)
			if c.sum == "" {
				c.sum = sum(t, path)
			}
			p := newPlugins(t, agent.PluginsConfig{External: map[string]string{path: c.sum}, StartTimeout: c.start})
			_, err := p.Observe(t.Context(), checkOf("outside.good", `{"say":"hello"}`), nil)
			if c.want == "" && err != nil {
				t.Errorf("got %v, want an answer", err)
			}
			if c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "plugin outside: ") || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error naming the plugin with %q", err, c.want)
			}
			if _, err := os.Stat(marker); err == nil {
				t.Fatal("the program was run")
			}
		})
	}
	t.Run("exchanged after it ran", func(t *testing.T) {
		path := filepath.Join(dir, "exchanged", "outside")
		put(t, path, program, 0o755)
		p := newPlugins(t, agent.PluginsConfig{External: map[string]string{path: sum(t, path)}})
		k := checkOf("outside.good", `{"say":"hello"}`)
		k.Every = holdfast.Duration(time.Hour)
		o, err := p.Observe(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "it ends", func() bool { return !alive(o.Facts["pid"]) })
		remove(t, path)
		put(t, path, evil, 0o755)
		if _, err := p.Observe(t.Context(), k, nil); err == nil || !strings.Contains(err.Error(), "has checksum") {
			t.Errorf("got %v, want it refused", err)
		}
	})
	t.Run("exchanged all the time", func(t *testing.T) {
		path := filepath.Join(dir, "race", "outside")
		put(t, path, program, 0o755)
		c := agent.PluginsConfig{External: map[string]string{path: sum(t, path)}, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		var exchange sync.WaitGroup
		exchange.Go(func() {
			for ctx.Err() == nil {
				err := errors.Join(os.WriteFile(path+".evil", evil, 0o755), os.Rename(path+".evil", path),
					os.WriteFile(path+".good", program, 0o755), os.Rename(path+".good", path))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		ran, refused := 0, 0
		for range 50 {
			c.Dir = t.TempDir()
			p, err := agent.NewPlugins(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Observe(ctx, checkOf("outside.good", `{"say":"hello"}`), nil); err == nil {
				ran++
			} else {
				refused++
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		cancel()
		exchange.Wait()
		if _, err := os.Stat(marker); err == nil {
			t.Error("a program that was not checked was run")
		}
		t.Logf("ran %d times, refused %d times", ran, refused)
	})
	for path, want := range map[string]string{
		"/usr/lib/holdfast/My-Plugin": "is no name for a plugin",
		"/usr/lib/holdfast/lake":      "is not sha256: and 64 hexadecimal digits",
	} {
		_, err := agent.NewPlugins(agent.PluginsConfig{Dir: t.TempDir(), External: map[string]string{path: "sha256:12"}, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}
