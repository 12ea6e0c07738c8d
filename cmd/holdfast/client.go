package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// client asks a collector's API.
type client struct {
	url   string
	token string
	ca    string
}

// addClient gives a command the flags that say which collector to ask; each
// defaults to an environment variable.
func addClient(cmd *cobra.Command, c *client) {
	f := cmd.Flags()
	f.StringVar(&c.url, "url", "", "the collector's `address`, like http://127.0.0.1:8480 (default $HOLDFAST_URL)")
	f.StringVar(&c.token, "token", "", "API `token`; safer in $HOLDFAST_TOKEN, the default (make one: holdfast collector user token --role viewer)")
	f.StringVar(&c.ca, "ca", "", "`file` with the authority of the collector's certificate (default $HOLDFAST_CA)")
}

// environment fills in what no flag said.
func (c *client) environment() error {
	for value, name := range map[*string]string{&c.url: "HOLDFAST_URL", &c.token: "HOLDFAST_TOKEN", &c.ca: "HOLDFAST_CA"} {
		if *value == "" {
			*value = os.Getenv(name)
		}
	}
	if c.url == "" {
		return exitf(exitUsage, "no collector named\nhint: set HOLDFAST_URL and HOLDFAST_TOKEN, or give --url and --token; a demo writes them to its client.env")
	}
	if !strings.HasPrefix(c.url, "http://") && !strings.HasPrefix(c.url, "https://") {
		return exitf(exitUsage, "address %q: write it like http://127.0.0.1:8480", c.url)
	}
	c.url = strings.TrimRight(c.url, "/")
	return nil
}

// problem is an error as the API writes it (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

// maxAnswer bounds what is read of an answer: 10,000 services are some 100 MiB.
const maxAnswer = 1 << 30

// do sends a request below /api/v1 and decodes the answer into v; nil bodies and
// answers are left out. Errors carry the exit code.
func (c *client) do(ctx context.Context, method, path string, body, v any) error {
	if err := c.environment(); err != nil {
		return err
	}
	httpClient, err := c.httpClient()
	if err != nil {
		return err
	}
	defer httpClient.CloseIdleConnections()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/api/v1"+path, send)
	if err != nil {
		return exitError{exitUsage, err}
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return exitError{exitInterrupted, ctx.Err()}
		}
		return exitf(exitUnreachable, "collector %s does not answer: %w\nhint: is it running? holdfast collector --help", c.url, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return exitf(exitUnreachable, "collector %s broke off its answer: %w", c.url, err)
	}
	if resp.StatusCode >= 300 {
		return refusal(resp.StatusCode, answer)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("answer of %s is not what the API says: %w", c.url, err)
	}
	return nil
}

// refusal turns an error answer into words and an exit code.
func refusal(status int, answer []byte) error {
	var p problem
	text := http.StatusText(status)
	if json.Unmarshal(answer, &p) == nil && p.Detail != "" {
		text = p.Detail
	}
	for _, e := range p.Errors {
		text += "\n  " + strings.TrimPrefix(e.Location, "body.") + ": " + e.Message
	}
	code := exitFailed
	switch status {
	case http.StatusNotFound:
		code = exitNotFound
	case http.StatusUnauthorized:
		code, text = exitNotAllowed, text+"\nhint: HOLDFAST_TOKEN is not known to this collector; make one: holdfast collector user token --role viewer NAME"
	case http.StatusForbidden:
		code = exitNotAllowed
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = exitUnreachable
	}
	return exitf(code, "%s", cleanLines(text))
}

func (c *client) httpClient() (*http.Client, error) {
	transport := &http.Transport{ResponseHeaderTimeout: time.Minute}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, exitf(exitUsage, "authority of the collector: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, exitf(exitUsage, "authority of the collector: %s holds no certificate", c.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes nowhere else
	}, nil
}
