package net

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// names is the probe net.dns.
type names struct{ dialer *net.Dialer }

type dnsSettings struct {
	Name   string `json:"name" jsonschema:"name to look up; always taken as complete"`
	Type   string `json:"type,omitempty" jsonschema:"type of record, like A, AAAA, CNAME, MX, SRV or TXT; A by default"`
	Server string `json:"server,omitempty" jsonschema:"HOST or HOST:PORT of the server to ask; by default those of /etc/resolv.conf"`
	Expect texts  `json:"expect,omitzero" jsonschema:"answer that must be among those given, or a list of them, written as dig +short does"`
}

func (names) Describe() probe.Description {
	return probe.Description{
		Name:     "net.dns",
		Observes: "Whether a name resolves, to what, and for how long the answer may be kept.",
		Settings: probe.Schema[dnsSettings](),
		Cost:     holdfast.Cheap,
		Target:   []string{"name", "type", "server"},
		Reasons:  reachReasons(holdfast.Assertion),
	}
}

func (p names) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := probe.Decode[dnsSettings](r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	kind, err := s.check()
	if err != nil {
		return probe.Observation{}, err
	}
	servers, err := s.servers()
	if err != nil {
		return probe.Observation{}, err
	}
	patience, cancel := probe.AnswerTime(ctx)
	defer cancel()
	question := new(dns.Msg).SetQuestion(dns.Fqdn(s.Name), kind).SetEdns0(1232, false)
	start := time.Now()
	answer, server, err := p.ask(patience, question, servers)
	if err != nil {
		return fault(ctx, "name server "+server, err)
	}
	o := s.observation(answer, kind, server)
	o.Measures = append(o.Measures, seconds("latency_seconds", start))
	return o, nil
}

// check returns the number of the type asked for.
func (s *dnsSettings) check() (uint16, error) {
	if s.Type == "" {
		s.Type = "A"
	}
	s.Type = strings.ToUpper(s.Type)
	kind, known := dns.StringToType[s.Type]
	if !known || kind == dns.TypeANY || kind == dns.TypeAXFR || kind == dns.TypeIXFR {
		return 0, fmt.Errorf("setting \"type\": %q is not a type to look up: write it like A, AAAA, CNAME, MX, SRV or TXT", s.Type)
	}
	if _, valid := dns.IsDomainName(s.Name); !valid || s.Name == "" {
		return 0, fmt.Errorf("setting \"name\": %q is not a name", s.Name)
	}
	return kind, nil
}

// servers lists the addresses to ask, in order.
func (s dnsSettings) servers() ([]string, error) {
	if s.Server != "" {
		if _, _, err := net.SplitHostPort(s.Server); err == nil {
			return []string{s.Server}, nil
		}
		return []string{net.JoinHostPort(strings.Trim(s.Server, "[]"), "53")}, nil
	}
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, probe.Unable(holdfast.Missing, "read the host's resolvers: %w: name one with \"server\"", err)
	}
	if len(config.Servers) == 0 {
		return nil, probe.Unable(holdfast.Missing, "read the host's resolvers: /etc/resolv.conf names none: name one with \"server\"")
	}
	var servers []string
	for _, host := range config.Servers {
		servers = append(servers, net.JoinHostPort(host, config.Port))
	}
	return servers, nil
}

// ask puts the question to each server in turn, twice, as one packet may get
// lost; the time left is shared among the tries left. It returns the first
// answer that is not the server's own failure, else the last failure.
func (p names) ask(ctx context.Context, question *dns.Msg, servers []string) (answer *dns.Msg, server string, err error) {
	tries := slices.Concat(servers, servers)
	deadline, _ := ctx.Deadline()
	for i, server := range tries {
		share := time.Until(deadline) / time.Duration(len(tries)-i)
		try, cancel := context.WithTimeout(ctx, share)
		answer, err = p.exchange(try, question, server)
		cancel()
		if err == nil && answer.Rcode != dns.RcodeServerFailure && answer.Rcode != dns.RcodeRefused {
			return answer, server, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return answer, servers[len(servers)-1], err
}

// exchange asks one server, by UDP and, where the answer does not fit, by TCP.
func (p names) exchange(ctx context.Context, question *dns.Msg, server string) (*dns.Msg, error) {
	answer, err := p.exchangeOver(ctx, "udp", question, server)
	if err == nil && answer.Truncated {
		return p.exchangeOver(ctx, "tcp", question, server)
	}
	return answer, err
}

func (p names) exchangeOver(ctx context.Context, network string, question *dns.Msg, server string) (*dns.Msg, error) {
	conn, err := p.dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // the exchange heeds a deadline, not a cancel
	defer stop()
	client := dns.Client{Net: network, UDPSize: 1232}
	answer, _, err := client.ExchangeWithConnContext(ctx, question, &dns.Conn{Conn: conn, UDPSize: 1232})
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return answer, err
}

func (s dnsSettings) observation(answer *dns.Msg, kind uint16, server string) probe.Observation {
	var given []string
	ttl := ^uint32(0)
	for _, record := range answer.Answer {
		if record.Header().Rrtype == kind {
			given = append(given, value(record))
		}
		ttl = min(ttl, record.Header().Ttl) // the chain of CNAMEs before it counts
	}
	slices.Sort(given)
	listed := probe.OneLine(strings.Join(given, ", "))
	o := probe.OK("%s %s: %s", s.Name, s.Type, listed)
	switch lacking := s.lacking(given); {
	case answer.Rcode == dns.RcodeNameError:
		o = probe.Failed(holdfast.Missing, "there is no name %s, says %s", s.Name, server)
	case answer.Rcode != dns.RcodeSuccess:
		o = probe.Failed(holdfast.Unreachable, "name server %s answers %s for %s", server, rcode(answer.Rcode), s.Name)
	case len(given) == 0:
		o = probe.Failed(holdfast.Missing, "%s has no %s record, says %s", s.Name, s.Type, server)
	case len(lacking) > 0:
		o = probe.Failed(holdfast.Assertion, "%s %s: %s, want %s", s.Name, s.Type, listed, strings.Join(lacking, ", "))
	}
	o.Facts = map[string]string{"server": server, "rcode": rcode(answer.Rcode)}
	o.Measures = []holdfast.Measure{{Name: "answers", Value: float64(len(given))}}
	if len(given) > 0 {
		o.Facts["answers"] = listed
		o.Measures = append(o.Measures, holdfast.Measure{Name: "ttl_seconds", Value: float64(ttl), Unit: "seconds"})
	}
	return o
}

// lacking lists what is expected and not given.
func (s dnsSettings) lacking(given []string) []string {
	var lacking []string
	for _, want := range s.Expect.list {
		if !slices.ContainsFunc(given, func(is string) bool { return canonical(is) == canonical(want) }) {
			lacking = append(lacking, want)
		}
	}
	return lacking
}

// value is a record's content as dig +short writes it; the parts of a text are
// joined and not quoted.
func value(record dns.RR) string {
	if txt, ok := record.(*dns.TXT); ok {
		return strings.Join(txt.Txt, "")
	}
	return strings.TrimPrefix(record.String(), record.Header().String())
}

// canonical makes two ways to write one address or name alike.
func canonical(s string) string {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String()
	}
	return strings.TrimSuffix(strings.ToLower(s), ".")
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE%d", code)
}
