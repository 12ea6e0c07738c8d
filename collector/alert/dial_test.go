package alert_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// nowhere is where a webhook must never lead, as names and addresses are written
// by people who want it to. PORT listens on loopback.
var nowhere = []string{
	// loopback, by every spelling
	"http://127.0.0.1:PORT/", "http://127.0.0.2:PORT/", "http://127.1.2.3:PORT/", "http://127.255.255.254:PORT/",
	"http://localhost:PORT/", "http://LOCALHOST:PORT/", "http://localhost.:PORT/", "http://[::1]:PORT/", "http://[0:0:0:0:0:0:0:1]:PORT/",
	"http://127.1:PORT/", "http://127.0.1:PORT/", "http://2130706433:PORT/", "http://0177.0.0.1:PORT/", "http://017700000001:PORT/",
	"http://0x7f000001:PORT/", "http://0x7f.0.0.1:PORT/", "http://0x7f.1:PORT/", "http://127.0.0.1.:PORT/", "http://①②⑦.⓪.⓪.①:PORT/",
	// IPv4 inside IPv6
	"http://[::ffff:127.0.0.1]:PORT/", "http://[::ffff:7f00:1]:PORT/", "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/", "http://[::127.0.0.1]:PORT/",
	"http://[::ffff:169.254.169.254]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::7f00:1]:PORT/", "http://[64:ff9b::10.0.0.1]/", "http://[64:ff9b::a9fe:a9fe]/",
	"http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2002:a00:1::1]/", "http://[2001:0:7f00:1::]/",
	// unspecified: Linux takes it for loopback
	"http://0.0.0.0:PORT/", "http://0:PORT/", "http://0.0.0.1:PORT/", "http://[::]:PORT/", "http://[::ffff:0.0.0.0]:PORT/",
	// private
	"http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/", "http://[fc00::1]/", "http://[fd12:3456:789a::1]/",
	// shared by carriers, link-local, metadata services
	"http://100.64.0.1/", "http://100.127.255.255/", "http://100.100.100.200/latest/meta-data/", "http://169.254.169.254/latest/meta-data/", "http://169.254.0.1/",
	"http://[fe80::1]/", "http://[fd00:ec2::254]/latest/meta-data/", "http://[fe80::a9fe:a9fe]/", "http://[fec0::1]/",
	// multicast, broadcast, reserved, documentation
	"http://224.0.0.1/", "http://239.255.255.250:1900/", "http://255.255.255.255/", "http://240.0.0.1/", "http://[ff02::1]/", "http://[ff05::2]/",
	"http://192.0.0.1/", "http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://192.88.99.1/", "http://[2001:db8::1]/", "http://[100::1]/",
	// names that lead there
	"http://loop.test:PORT/", "http://mapped.test:PORT/", "http://metadata.test/", "http://private.test/", "http://carrier.test/", "http://alias.test:PORT/", "http://both.test:PORT/",
	// users in front of it
	"http://hooks.slack.com@127.0.0.1:PORT/", "http://hooks.slack.com:443@loop.test:PORT/", "http://127.0.0.1:PORT\\@public.test/", "http://public.test#@127.0.0.1:PORT/",
}

// names is what the tests' own name server answers; spellings of numbers are
// answered as the C library reads them.
var names = map[string][]string{
	"loop.test": {"127.0.0.1"}, "mapped.test": {"::ffff:127.0.0.1"}, "metadata.test": {"169.254.169.254"}, "private.test": {"10.1.2.3"},
	"carrier.test": {"100.64.7.7"}, "alias.test": {"127.0.0.1"}, "both.test": {"10.0.0.1", "127.0.0.1", "::1"},
	"127.1": {"127.0.0.1"}, "127.0.1": {"127.0.0.1"}, "2130706433": {"127.0.0.1"}, "0177.0.0.1": {"127.0.0.1"}, "017700000001": {"127.0.0.1"},
	"0x7f000001": {"127.0.0.1"}, "0x7f.0.0.1": {"127.0.0.1"}, "0x7f.1": {"127.0.0.1"}, "0": {"0.0.0.0"}, "127.0.0.1": {"127.0.0.1"},
	"①②⑦.⓪.⓪.①": {"127.0.0.1"}, "\\226\\145\\160\\226\\145\\161\\226\\145\\166.\\226\\147\\170.\\226\\147\\170.\\226\\145\\160": {"127.0.0.1"},
}

func TestNothingInsideIsDialled(t *testing.T) {
	if len(nowhere) < 60 {
		t.Fatalf("%d addresses, want at least 60", len(nowhere))
	}
	port, connections := listener(t)
	client := alert.GuardedClient(resolver(t, func(name string) []string { return names[name] }))
	refused := 0
	for _, address := range nowhere {
		address = strings.ReplaceAll(address, "PORT", port)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("{}"))
		if err != nil {
			continue // no address at all
		}
		err = alert.Deliver(client, req)
		if err == nil {
			t.Errorf("%s was delivered", address)
		}
		if errors.Is(err, alert.ErrPermanent) {
			refused++
		} else {
			t.Logf("%s: %v", address, err)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were opened, want none", n)
	}
	if refused < 60 {
		t.Errorf("%d addresses were refused by the guard, want at least 60", refused)
	}
}

func TestRebindingIsRefused(t *testing.T) {
	port, connections := listener(t)
	var moved atomic.Bool
	client := alert.GuardedClient(resolver(t, func(string) []string {
		if moved.Load() {
			return []string{"127.0.0.2"}
		}
		return []string{"127.0.0.1"} // allowed here, as a public address is elsewhere
	}), "127.0.0.1/32")
	client.Transport.(*http.Transport).DisableKeepAlives = true
	post := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://rebind.test:"+port, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return alert.Deliver(client, req)
	}
	if err := post(); err != nil {
		t.Fatalf("the first look-up leads to an allowed address, and gives %v", err)
	}
	moved.Store(true)
	if err := post(); !errors.Is(err, alert.ErrPermanent) {
		t.Errorf("the second leads elsewhere and gives %v, want a refusal", err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAllowedNetworksAreExact(t *testing.T) {
	for _, c := range []struct {
		address string
		allowed []string
		may     bool
	}{
		{"93.184.216.34", nil, true},
		{"2606:2800:220:1::1", nil, true},
		{"64:ff9b::5db8:d822", nil, true}, // a public IPv4 address through NAT64
		{"10.1.2.3", []string{"10.1.0.0/16"}, true},
		{"10.2.0.1", []string{"10.1.0.0/16"}, false},
		{"::ffff:10.1.2.3", []string{"10.1.0.0/16"}, true},
		{"127.0.0.1", []string{"10.0.0.0/8"}, false},
		{"fd00::5", []string{"fd00::/64"}, true},
		{"fd01::5", []string{"fd00::/64"}, false},
		{"169.254.169.254", []string{"10.0.0.0/8", "127.0.0.0/8"}, false},
	} {
		err := alert.MayDial(netip.MustParseAddr(c.address), c.allowed...)
		if (err == nil) != c.may {
			t.Errorf("%s with %v allowed: %v, want allowed: %t", c.address, c.allowed, err, c.may)
		}
	}
}

// listener counts the connections to a port of loopback, whatever its address.
func listener(t *testing.T) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	l, err := net.Listen("tcp", ":0") // 127.0.0.2 and ::1 too
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = l
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, connections
}

// resolver asks a name server of the test's own.
func resolver(t *testing.T, answer func(name string) []string) *net.Resolver {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		question := q.Question[0]
		name := strings.TrimSuffix(strings.ToLower(question.Name), ".")
		addresses := answer(name)
		for _, s := range addresses {
			a := netip.MustParseAddr(s)
			header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
			switch {
			case question.Qtype == dns.TypeA && a.Is4():
				m.Answer = append(m.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
			case question.Qtype == dns.TypeAAAA && !a.Is4():
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: a.AsSlice()})
			}
		}
		if len(addresses) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m) // a client that is gone asks again
	})}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.ActivateAndServe() // ends with Shutdown
	}()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-stopped
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", packets.LocalAddr().String())
	}}
}
