// Package s3test runs a real S3 server with versioning and object lock for tests:
// versitygw over a folder of its own. The server is built by the Go client on
// first use and kept in the user's cache; it is no part of this module.
package s3test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// version of versitygw; object lock and versioning need a recent one.
const version = "v1.8.0"

// Server is a running server.
type Server struct {
	URL            string
	Access, Secret string
	Folder         string // its buckets are folders in it

	dir string
	cmd *exec.Cmd
}

// Start builds the server where that was not done yet, which takes about a minute,
// and starts it on a loopback port. Stop ends it.
func Start() (*Server, error) {
	program, err := build()
	if err != nil {
		return nil, fmt.Errorf("build versitygw: %w", err)
	}
	dir, err := os.MkdirTemp("", "holdfast-s3-")
	if err != nil {
		return nil, err
	}
	s := &Server{Access: "holdfast", Secret: "correct horse battery", Folder: filepath.Join(dir, "buckets"), dir: dir}
	versions := filepath.Join(dir, "versions")
	if err := errors.Join(os.Mkdir(s.Folder, 0o755), os.Mkdir(versions, 0o755)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	for range 10 { // another process may take the port first
		var address string
		if address, err = freePort(); err == nil {
			err = s.start(program, address, versions)
		}
		if err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, s.Stop())
}

func (s *Server) start(program, address, versions string) error {
	s.cmd = exec.Command(program, "--port", address, "--access", s.Access, "--secret", s.Secret, "--quiet",
		"posix", "--versioning-dir", versions, s.Folder)
	s.cmd.Env = []string{"HOME=" + s.dir, "PATH=/usr/bin"}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func(cmd *exec.Cmd) { ended <- cmd.Wait() }(s.cmd) // ends with the server
	s.URL = "http://" + address
	for deadline := time.After(120 * time.Second); ; {
		answer, err := http.Get(s.URL)
		if err == nil {
			answer.Body.Close()
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("versitygw ended before it listened: %w", err)
		case <-deadline:
			_ = s.cmd.Process.Kill()
			return errors.New("versitygw does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server and removes what it kept.
func (s *Server) Stop() error {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
	}
	return os.RemoveAll(s.dir)
}

// freePort returns a loopback address that nobody listens on, below the ports that
// clients are given.
func freePort() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000))))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}

// build returns the program, built once for all test binaries.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "holdfast-test", "versitygw-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Dir = dir // outside the module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
}
