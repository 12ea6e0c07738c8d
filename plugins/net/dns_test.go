package net_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// zone is what the name server of these tests knows.
var zone = []string{
	"pay.example. 60 IN A 192.0.2.1",
	"pay.example. 60 IN A 192.0.2.2",
	"pay.example. 60 IN AAAA 2001:db8::1",
	"www.example. 30 IN CNAME pay.example.",
	"example. 300 IN MX 10 Mail.example.",
	`example. 300 IN TXT "v=spf1 " "-all"`,
	"_ldap._tcp.example. 300 IN SRV 0 5 389 ldap.example.",
}

// nameServer serves a zone by UDP and TCP; without a zone it answers SERVFAIL.
func nameServer(t *testing.T, zone []string) (address string) {
	return answerNames(t, func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		defer func() { w.WriteMsg(answer) }()
		if zone == nil {
			answer.Rcode = dns.RcodeServerFailure
			return
		}
		answer.Rcode = dns.RcodeNameError
		follow(answer, zone, question.Question[0].Name, question.Question[0].Qtype)
	})
}

// follow adds the records of a name, a CNAME's target after it.
func follow(answer *dns.Msg, zone []string, name string, kind uint16) {
	for _, line := range zone {
		record, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		if !strings.EqualFold(record.Header().Name, name) {
			continue
		}
		answer.Rcode = dns.RcodeSuccess
		if alias, ok := record.(*dns.CNAME); ok && kind != dns.TypeCNAME {
			answer.Answer = append(answer.Answer, record)
			follow(answer, zone, alias.Target, kind)
		} else if record.Header().Rrtype == kind {
			answer.Answer = append(answer.Answer, record)
		}
	}
}

func answerNames(t *testing.T, handle dns.HandlerFunc) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{Listener: listener, Handler: handle}, {PacketConn: packets, Handler: handle}} {
		up, down := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		go func() {
			defer close(down)
			server.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			server.Shutdown()
			<-down
		})
	}
	return listener.Addr().String()
}

// mute takes questions and answers none.
func mute(t *testing.T) string {
	return answerNames(t, func(dns.ResponseWriter, *dns.Msg) {})
}

func TestDNS(t *testing.T) {
	server := nameServer(t, zone)
	for _, c := range []struct {
		pairs   []any
		outcome holdfast.Outcome
		reason  holdfast.Reason
		words   string
		ttl     float64
	}{
		{[]any{"name", "pay.example"}, holdfast.OK, "", "192.0.2.1, 192.0.2.2", 60},
		{[]any{"name", "pay.example."}, holdfast.OK, "", "192.0.2.1, 192.0.2.2", 60},
		{[]any{"name", "PAY.example", "expect", "192.0.2.2"}, holdfast.OK, "", "", 60},
		{[]any{"name", "pay.example", "expect", []string{"192.0.2.2", "192.0.2.1"}}, holdfast.OK, "", "", 60},
		{[]any{"name", "pay.example", "expect", []string{"192.0.2.2", "192.0.2.9"}}, holdfast.Failed, holdfast.Assertion, "192.0.2.1, 192.0.2.2, want 192.0.2.9", 60},
		{[]any{"name", "pay.example", "type", "aaaa", "expect", "2001:DB8:0::1"}, holdfast.OK, "", "2001:db8::1", 60},
		{[]any{"name", "www.example", "expect", "192.0.2.1"}, holdfast.OK, "", "", 30},
		{[]any{"name", "www.example", "type", "CNAME", "expect", "PAY.example"}, holdfast.OK, "", "pay.example.", 30},
		{[]any{"name", "example", "type", "MX", "expect", "10 mail.example"}, holdfast.OK, "", "10 Mail.example.", 300},
		{[]any{"name", "example", "type", "TXT", "expect", "v=spf1 -all"}, holdfast.OK, "", "v=spf1 -all", 300},
		{[]any{"name", "_ldap._tcp.example", "type", "SRV", "expect", "0 5 389 ldap.example."}, holdfast.OK, "", "", 300},
		{[]any{"name", "none.example"}, holdfast.Failed, holdfast.Missing, "there is no name none.example", 0},
		{[]any{"name", "none.example", "expect", "192.0.2.1"}, holdfast.Failed, holdfast.Missing, "there is no name", 0},
		{[]any{"name", "pay.example", "type", "MX"}, holdfast.Failed, holdfast.Missing, "pay.example has no MX record", 0},
	} {
		o := observe(t, "net.dns", append(c.pairs, "server", server)...)
		wantOutcome(t, o, c.outcome, c.reason, c.words)
		if c.ttl > 0 {
			if got := measure(t, o, "ttl_seconds"); got != c.ttl {
				t.Errorf("%v: ttl_seconds is %v, want %v", c.pairs, got, c.ttl)
			}
		}
	}
}

func TestDNSServerFails(t *testing.T) {
	wantOutcome(t, observe(t, "net.dns", "name", "pay.example", "server", nameServer(t, nil)), holdfast.Failed, holdfast.Unreachable, "SERVFAIL")
	wantOutcome(t, observe(t, "net.dns", "name", "pay.example", "server", closed(t)), holdfast.Failed, holdfast.Unreachable, "connection refused")
	wantOutcome(t, observeBriefly(t, "net.dns", "name", "pay.example", "server", mute(t)), holdfast.Failed, holdfast.Timeout)
	refusing := answerNames(t, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused)) })
	wantOutcome(t, observe(t, "net.dns", "name", "pay.example", "server", refusing), holdfast.Failed, holdfast.Unreachable, "REFUSED")
}

func TestDNSGarbage(t *testing.T) {
	garbled := answerNames(t, func(w dns.ResponseWriter, q *dns.Msg) {
		b, _ := new(dns.Msg).SetReply(q).Pack()
		w.Write(append(b[:6], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0))
	})
	o := observeBriefly(t, "net.dns", "name", "pay.example", "server", garbled)
	if o.Outcome != holdfast.Failed {
		t.Errorf("got %+v, want failed", o)
	}
}

// TestDNSLostPacket checks that one lost packet is not yet silence.
func TestDNSLostPacket(t *testing.T) {
	var asked atomic.Int32
	server := answerNames(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if asked.Add(1) == 1 {
			return
		}
		answer := new(dns.Msg).SetReply(q)
		follow(answer, zone, "pay.example.", dns.TypeA)
		w.WriteMsg(answer)
	})
	wantOutcome(t, observeBriefly(t, "net.dns", "name", "pay.example", "server", server), holdfast.OK, "")
}

// TestDNSLarge has an answer that fits no packet and comes by TCP.
func TestDNSLarge(t *testing.T) {
	server := answerNames(t, func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if w.RemoteAddr().Network() == "udp" {
			answer.Truncated = true
		} else {
			for range 200 {
				follow(answer, zone, "pay.example.", dns.TypeA)
			}
		}
		w.WriteMsg(answer)
	})
	o := observe(t, "net.dns", "name", "pay.example", "server", server)
	wantOutcome(t, o, holdfast.OK, "")
	if got := measure(t, o, "answers"); got != 400 {
		t.Errorf("answers: got %v, want 400", got)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}
