package net

import (
	"context"
	"net"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// tcp is the probe net.tcp.
type tcp struct{ dialer *net.Dialer }

type tcpSettings struct {
	Address string `json:"address" jsonschema:"HOST:PORT to connect to"`
}

// reachReasons are those every probe that connects can give.
func reachReasons(more ...holdfast.Reason) []holdfast.Reason {
	return append([]holdfast.Reason{holdfast.Unreachable, holdfast.Timeout, holdfast.Missing, holdfast.Refused}, more...)
}

func (tcp) Describe() probe.Description {
	return probe.Description{
		Name:     "net.tcp",
		Observes: "Whether a TCP port takes connections.",
		Settings: probe.Schema[tcpSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"address"},
		Reasons:  reachReasons(),
	}
}

func (p tcp) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[tcpSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	if err := checkAddress(s.Address); err != nil {
		return probe.Observation{}, err
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	start := time.Now()
	conn, err := p.dialer.DialContext(patience, "tcp", s.Address)
	if err != nil {
		return fault(ctx, s.Address, err)
	}
	defer conn.Close()
	o := probe.OK("%s takes connections", s.Address)
	o.Measures = []holdfast.Measure{seconds("connect_seconds", start)}
	o.Facts = map[string]string{"remote": conn.RemoteAddr().String()}
	return o, nil
}
