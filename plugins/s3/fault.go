package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// codeOf is the code of an S3 error (Amazon S3 API Reference, "Error responses"),
// "" of any other.
func codeOf(err error) string {
	var e interface{ ErrorCode() string }
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// unseen says in a fact why something could not be seen.
func unseen(err error) string {
	var net net.Error
	if errors.As(err, &net) {
		return "not seen: the store did not answer"
	}
	return "not seen: " + probe.OneLine(cmp.Or(codeOf(err), "the store gives an error"))
}

// fault says what an error of listing means: the copy is broken, which is a fault,
// or nobody can tell.
func (s settings) fault(ctx context.Context, err error) error {
	status := 0
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if ctx.Err() != nil || os.IsTimeout(err) {
		return probe.Unable(holdfast.Timeout, "bucket %s: no answer in time: %w", s.Bucket, cmp.Or(ctx.Err(), err))
	}
	code := codeOf(err)
	switch code {
	case "NoSuchBucket":
		return probe.Faulty(holdfast.Missing, "there is no bucket %s", s.Bucket)
	case "RequestTimeTooSkewed":
		return probe.Unable("", "bucket %s: the clocks of this host and the store differ too much", s.Bucket)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		return probe.Unable("", "bucket %s: the store says %s: name the bucket's own region or endpoint", s.Bucket, code)
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, code == "XAdminUserNotFound": // versitygw's word for a key nobody has
		return probe.Faulty(holdfast.Credential, "bucket %s: the store does not take the keys: %s", s.Bucket, probe.OneLine(cmp.Or(code, http.StatusText(status))))
	case status >= 500:
		return probe.Faulty(holdfast.Unreachable, "bucket %s: the store answers with status %d %s", s.Bucket, status, probe.OneLine(code))
	case unreachable(err):
		return &probe.Fault{Reason: holdfast.Unreachable, Text: probe.OneLine("bucket " + s.Bucket + ": " + rootOf(err).Error())}
	}
	return probe.Unable("", "list bucket %s: %w", s.Bucket, err)
}

// unreachable reports whether no store was reached at all.
func unreachable(err error) bool {
	var (
		op        *net.OpError
		lookup    *net.DNSError
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	return errors.As(err, &op) || errors.As(err, &lookup) || errors.As(err, &untrusted) || errors.As(err, &record)
}

// rootOf is the network's own error, without the SDK's words around it.
func rootOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return untrusted
	}
	return err
}
