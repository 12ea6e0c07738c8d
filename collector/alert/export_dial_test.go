package alert

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
)

// GuardedClient returns the client of a receiver that may dial the networks
// besides public addresses, asking resolver for names.
func GuardedClient(resolver *net.Resolver, allowed ...string) *http.Client {
	return guard{allowed: prefixes(allowed...), resolver: resolver}.client()
}

// MayDial says whether a receiver may dial an address.
func MayDial(a netip.Addr, allowed ...string) error {
	return guard{allowed: prefixes(allowed...)}.may(a)
}

// Deliver sends a request as receivers do.
func Deliver(c *http.Client, req *http.Request) error { return do(c, req) }

// ChatSchemes lists the services of the chat library that may be used.
func ChatSchemes() []string {
	var list []string
	for s := range chatServices {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}
