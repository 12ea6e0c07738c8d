package net

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// fault says what an error of reaching something means: it is broken, which is an
// observation, or nobody can tell, which is an error. ctx is the check's own,
// not that of probe.AnswerTime.
func fault(ctx context.Context, what string, err error) (probe.Observation, error) {
	if ctx.Err() != nil {
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "reach %s: %w", what, ctx.Err())
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return lookupFault(what, lookup)
	}
	var distrusted *tls.CertificateVerificationError
	if errors.As(err, &distrusted) {
		return distrust(what, distrusted)
	}
	var (
		record tls.RecordHeaderError
		op     *net.OpError
		code   syscall.Errno
	)
	switch {
	case timedOut(err):
		return probe.Failed(holdfast.Timeout, "%s does not answer in time", what), nil
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return probe.Observation{}, probe.Unable(holdfast.Refused, "reach %s: this host forbids it: %w", what, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS),
		errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return probe.Observation{}, probe.Unable("", "reach %s: %w", what, err)
	case errors.As(err, &record), errors.As(err, &op) && strings.HasSuffix(op.Op, " error"): // crypto/tls: "remote error", "local error"
		return probe.Failed(holdfast.Assertion, "%s: the TLS handshake fails: %v", what, err), nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return probe.Failed(holdfast.Unreachable, "%s hangs up", what), nil
	case errors.As(err, &code):
		return probe.Failed(holdfast.Unreachable, "%s: %v", what, code), nil
	case errors.As(err, &op):
		return probe.Failed(holdfast.Unreachable, "%s: %v", what, op.Err), nil
	}
	return probe.Failed(holdfast.Assertion, "%s: %v", what, err), nil
}

func timedOut(err error) bool {
	var e net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) && e.Timeout()
}

// lookupFault: a host that does not exist is a finding; a resolver that does not
// work says nothing about the host.
func lookupFault(what string, err *net.DNSError) (probe.Observation, error) {
	switch {
	case err.IsNotFound:
		return probe.Failed(holdfast.Missing, "%s: there is no host %q", what, err.Name), nil
	case err.IsTimeout:
		return probe.Observation{}, probe.Unable(holdfast.Timeout, "look up %q: %w", err.Name, err)
	}
	return probe.Observation{}, probe.Unable(holdfast.Unreachable, "look up %q: %w", err.Name, err)
}

// checkAddress wants a host and a port number.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" {
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 1<<16 {
			return nil
		}
	}
	return fmt.Errorf("setting \"address\": %q is not HOST:PORT: write it like db1.example:5432 or [2001:db8::1]:443", address)
}
