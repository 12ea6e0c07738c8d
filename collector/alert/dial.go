package alert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Where notices may be dialled. What counts is the address a connection is opened
// to, checked after every look-up of a name and right before the connection, so
// that no spelling of an address, no changing answer of a name server and no
// redirect leads elsewhere.
//
// A public address may always be dialled. Those of openable lead into the
// operator's own networks and may be dialled where the routes file allows them.
// All others never.
var openable = prefixes(
	"127.0.0.0/8", "::1/128", // loopback
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", // private (RFC 1918, 4193)
	"100.64.0.0/10", // shared by carriers (RFC 6598)
)

// reserved is what IPv4 holds beside public addresses (IANA, IPv4 special-purpose
// registry), with words for those that people run into. Of IPv6 only 2000::/3 is
// public, less what is here.
var reserved = []struct {
	in   netip.Prefix
	name string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by carriers"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo and others carry an IPv4 address inside
	{netip.MustParsePrefix("2002::/16"), "6to4"},     // carries an IPv4 address inside
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

var (
	public6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last 32 bits are an IPv4 address
)

// guard decides which addresses may be dialled, and holds how.
type guard struct {
	allowed  []netip.Prefix // of the operator's own networks
	tls      *tls.Config    // nil: the system's authorities
	resolver *net.Resolver  // nil: the system's
}

// may returns nil where an address may be dialled, else why not.
func (g guard) may(address netip.Addr) error {
	a := address.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, p := range g.allowed {
		if p.Contains(a) {
			return nil
		}
	}
	for _, r := range reserved {
		if !r.in.Contains(a) {
			continue
		}
		if within(a, openable) {
			return fmt.Errorf("%w: address %s is %s; allow_private in the routes file opens it", ErrPermanent, address, r.name)
		}
		return fmt.Errorf("%w: address %s is %s and never dialled", ErrPermanent, address, r.name)
	}
	if !a.IsValid() || a.Is6() && !public6.Contains(a) {
		return fmt.Errorf("%w: address %s is not public and never dialled", ErrPermanent, address)
	}
	return nil
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// dial opens a connection to where it may.
func (g guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Resolver: g.resolver, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q is no address", ErrPermanent, address)
		}
		return g.may(at.Addr())
	}}
	return d.DialContext(ctx, network, address)
}

// Bounds of one delivery over HTTP.
const (
	deliveryTime = 20 * time.Second
	maxReply     = 64 << 10
)

// client returns a client that goes nowhere else: no redirects, no proxy (it would
// dial in our place), no compression (a small answer stays small).
func (g guard) client() *http.Client {
	return &http.Client{
		Timeout:       deliveryTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: g.dial, TLSClientConfig: g.tls, TLSHandshakeTimeout: 10 * time.Second,
			DisableCompression: true, MaxResponseHeaderBytes: maxReply,
			MaxIdleConnsPerHost: 2, MaxConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// do sends a request and judges the answer's status.
func do(c *http.Client, req *http.Request) error {
	req.Header.Set("User-Agent", "holdfast")
	resp, err := c.Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	reply, _ := io.ReadAll(io.LimitReader(resp.Body, maxReply)) // what is cut off was only to be shown
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: answered %s; redirects are not followed, write the final address into the routes file", ErrPermanent, resp.Status)
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("answered %s%s", clip(resp.Status, 60), quoted(reply))
	default:
		return fmt.Errorf("%w: answered %s%s", ErrPermanent, clip(resp.Status, 60), quoted(reply))
	}
}

// plain drops the address from a client's error: its path and query may hold a
// credential, and people read errors.
func plain(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return err
}

// quoted shows the beginning of an answer.
func quoted(reply []byte) string {
	s := strings.TrimSpace(clip(string(reply[:min(len(reply), 1000)]), 200))
	if s == "" {
		return ""
	}
	return ": " + s
}

func prefixes(list ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(list))
	for i, s := range list {
		p[i] = netip.MustParsePrefix(s)
	}
	return p
}
