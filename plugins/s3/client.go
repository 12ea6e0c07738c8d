package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Bounds of what is read.
const (
	answerMax = 8 << 20 // of one answer: a page of 1,000 names of at most 1 KiB, written as XML
	headerMax = 64 << 10
)

// client makes one that is used once: no proxy, no redirect, which could ask
// another host, no source of credentials but the file.
func (s settings) client() (*s3.Client, func(), error) {
	keys, err := s.credentials()
	if err != nil {
		return nil, nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		f, err := open("ca_file", s.CAFile)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		pem, err := io.ReadAll(io.LimitReader(f, fileMax))
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, probe.Unable(holdfast.CredentialUnreadable, "ca_file %s: there is no PEM certificate in it", s.CAFile)
		}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableCompression: true, MaxResponseHeaderBytes: headerMax, ForceAttemptHTTP2: true}
	o := s3.Options{
		Region:       s.Region,
		Credentials:  keys,
		UsePathStyle: s.PathStyle,
		Retryer:      retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, time.Second }),
		HTTPClient: &http.Client{
			Transport:     bounded{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.Endpoint != "" {
		o.BaseEndpoint = aws.String(s.Endpoint)
	}
	return s3.New(o), transport.CloseIdleConnections, nil
}

// bounded ends an answer that is longer than any a store gives.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &shortBody{answer.Body, answerMax}
	}
	return answer, err
}

type shortBody struct {
	io.ReadCloser
	left int
}

func (b *shortBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is longer than any a store gives")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
