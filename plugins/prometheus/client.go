package prometheus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Bounds of what is read.
const (
	answerMax = 1 << 20 // of an answer: about 5,000 series
	headerMax = 64 << 10
	secretMax = 64 << 10 // of a token
	pemMax    = 1 << 20  // of a ca_file
)

// ask sends the query and returns the answer's content, whatever its status.
func (s settings) ask(ctx context.Context) (*http.Response, []byte, error) {
	request, err := s.request(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, s.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerMax+1))
	if err != nil {
		return nil, nil, s.unreachable(ctx, err)
	}
	if len(content) > answerMax {
		return nil, nil, probe.Unable("", "%s answers with more than %v: aggregate the query, as by max() or count()", shown(s.base), holdfast.Bytes(answerMax))
	}
	return answer, content, nil
}

func (s settings) request(ctx context.Context) (*http.Request, error) {
	at := s.base.JoinPath("api/v1/query")
	form := url.Values{"query": {s.Query}}
	if deadline, ok := ctx.Deadline(); ok { // so that it does not go on for nobody
		form.Set("timeout", fmt.Sprintf("%dms", max(1, time.Until(deadline).Milliseconds())))
	}
	at.RawQuery = form.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("setting \"url\": %w", err)
	}
	request.Header.Set("User-Agent", "holdfast")
	request.Header.Set("Accept", "application/json")
	if s.TokenFile == "" {
		return request, nil
	}
	token, err := readBounded(s.TokenFile, secretMax)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "token_file: %w: let the agent's user read it", err)
	}
	word := strings.TrimSpace(string(token))
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "token_file %s: want one token and nothing else in it", s.TokenFile)
	}
	request.Header.Set("Authorization", "Bearer "+word)
	return request, nil
}

// client makes one that is used once: no proxy, no redirect, which could carry the
// token elsewhere.
func (s settings) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := readBounded(s.CAFile, pemMax)
		if err != nil {
			return nil, probe.Unable(holdfast.CredentialUnreadable, "ca_file: %w: let the agent's user read it", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, probe.Unable(holdfast.CredentialUnreadable, "ca_file %s: there is no PEM certificate in it", s.CAFile)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        config,
			DisableCompression:     true, // what is not unpacked cannot blow up
			MaxResponseHeaderBytes: headerMax,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// unreachable says why there is no answer.
func (s settings) unreachable(ctx context.Context, err error) error {
	var at *url.Error // holds the whole address
	if errors.As(err, &at) {
		err = at.Err
	}
	if ctx.Err() != nil || os.IsTimeout(err) {
		return probe.Unable(holdfast.Timeout, "%s does not answer in time: %w", shown(s.base), err)
	}
	return probe.Unable(holdfast.Unreachable, "%s: %w", shown(s.base), err)
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of at most %v", path, holdfast.Bytes(limit))
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
