// Package net holds the probes that reach for something over the network, as the
// people recovering a service would have to: a port, a web page, a certificate,
// a name. They send nothing but the question, use no proxy, write nothing and
// need no privilege.
//
//	probe     settings                       ok / degraded / failed
//	net.tcp   address                        failed unreachable: refused, reset, no route · timeout · missing: no such host
//	net.http  url, status (default any 2xx), as net.tcp, and
//	          body (regular expression),     failed assertion: another status, body not matched, certificate not trusted,
//	          ca_file, latency,                redirected further than allowed, not HTTP
//	          redirects (default 0, ≤ 5)     degraded timeout: complete only after latency
//	net.tls   address, server_name, ca_file  as net.tcp, and
//	                                         failed assertion: certificate expired, not valid yet, for another name,
//	                                           or signed by nobody this host trusts; not TLS
//	net.dns   name, type (default A),        failed missing: no such name, or none of this type
//	          server, expect                 failed assertion: an expected answer is not among those given
//	                                         failed unreachable: refused, or the server itself fails · timeout
//
// Cannot tell, whatever is asked: the look-up of the host to connect to fails
// (unreachable; timeout), as that name is not what is asked; ca_file is not there
// (missing), not readable (refused) or holds no certificate (damaged); this host
// itself forbids to connect (refused); the check is cancelled (timeout). A
// host that the look-up says does not exist is a finding (failed, missing).
//
// What is asked gets nine tenths of the check's time to answer; silence until
// then is failed, timeout.
//
// A certificate's end is reported as a fact (Expiry: the first end in its chain)
// and not judged before it has come.
package net

import (
	"net"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return probes(nil) }

// probes uses a resolver to find hosts to connect to; nil is the host's own.
func probes(resolver *net.Resolver) []probe.Probe {
	dialer := &net.Dialer{Resolver: resolver}
	return []probe.Probe{tcp{dialer}, web{dialer}, handshake{dialer}, names{dialer}}
}

// seconds is a measure of time since start.
func seconds(name string, start time.Time) holdfast.Measure {
	return holdfast.Measure{Name: name, Value: time.Since(start).Seconds(), Unit: "seconds"}
}
