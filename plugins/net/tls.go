package net

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// handshake is the probe net.tls.
type handshake struct{ dialer *net.Dialer }

type tlsSettings struct {
	Address    string `json:"address" jsonschema:"HOST:PORT to connect to"`
	ServerName string `json:"server_name,omitempty" jsonschema:"name the certificate must be for; the host of address by default"`
	CAFile     string `json:"ca_file,omitempty" jsonschema:"PEM file of the authorities to trust instead of the host's own"`
}

func (handshake) Describe() probe.Description {
	return probe.Description{
		Name:     "net.tls",
		Observes: "Whether a TLS endpoint shows a certificate this host trusts, and when that ends.",
		Settings: probe.Schema[tlsSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"address"},
		Reasons:  reachReasons(holdfast.Assertion, holdfast.Damaged),
	}
}

func (p handshake) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[tlsSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := checkAddress(s.Address); err != nil {
		return probe.Observation{}, err
	}
	if s.ServerName == "" {
		s.ServerName, _, _ = net.SplitHostPort(s.Address)
	}
	trusted, err := authorities(s.CAFile)
	if err != nil {
		return probe.Observation{}, err
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	start := time.Now()
	raw, err := p.dialer.DialContext(patience, "tcp", s.Address)
	if err != nil {
		return fault(ctx, s.Address, err)
	}
	defer raw.Close()
	connected := seconds("connect_seconds", start)
	start = time.Now()
	conn := tls.Client(raw, &tls.Config{ServerName: s.ServerName, RootCAs: trusted, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(patience); err != nil {
		return fault(ctx, s.Address, err)
	}
	state := conn.ConnectionState()
	o := probe.OK("%s: the certificate of %s is valid until %s", s.Address, s.ServerName, day(chainExpiry(state.VerifiedChains)))
	o.Measures = []holdfast.Measure{connected, seconds("handshake_seconds", start)}
	addSession(&o, &state)
	return o, nil
}
