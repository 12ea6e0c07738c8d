package alert

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// dialKeys is what says where a receiver may be dialled.
type dialKeys struct {
	allowed []netip.Prefix
	tls     *tls.Config
}

func (d *dialKeys) guard() guard { return guard{allowed: d.allowed, tls: d.tls} }

func (d *dialKeys) keys(r *reader) []key {
	return []key{
		{"allow_private", false, func(v value) { d.allowed = r.allowed(v) }},
		{"ca_file", false, func(v value) {
			file := r.text(v, "an absolute path")
			if file == "" {
				return
			}
			pem, err := os.ReadFile(file)
			if err != nil {
				r.fault(v, err.Error(), "")
				return
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				r.fault(v, "holds no certificate", "it is the authority's, in PEM")
			}
			d.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}},
	}
}

// allowed reads allow_private: true for every private network, or a list of
// networks within them.
func (r *reader) allowed(v value) (list []netip.Prefix) {
	const want = "true, or a list of networks like [10.1.0.0/16, 127.0.0.1]"
	switch r.bare(v) {
	case "true":
		return openable
	case "false":
		return nil
	}
	r.list(v, want, func(v value) {
		s := r.text(v, "a network like 10.1.0.0/16")
		p, err := netip.ParsePrefix(s)
		if a, notPrefix := netip.ParseAddr(s); notPrefix == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			r.fault(v, fmt.Sprintf("%q is no network", clip(s, 60)), "write it like 10.1.0.0/16 or 127.0.0.1")
			return
		}
		p = p.Masked()
		if !slices.ContainsFunc(openable, func(o netip.Prefix) bool { return o.Contains(p.Addr()) && o.Bits() <= p.Bits() }) {
			r.fault(v, fmt.Sprintf("%s does not lie in a private or loopback network", p), "public addresses need no mention, all others are never dialled")
			return
		}
		list = append(list, p)
	})
	return list
}

// addressKeys is the address of a receiver: open, or in a file where it holds a
// credential.
type addressKeys struct {
	open *url.URL
	file secret
	at   value
}

func (a *addressKeys) keys(r *routesReader) []key {
	return []key{
		{"url", false, func(v value) { a.open, a.at = r.url(v), v }},
		{"url_file", false, func(v value) { a.file, a.at = r.secret(v, 1), v }},
	}
}

func (a *addressKeys) check(r *routesReader, v value, d dialKeys) {
	switch {
	case a.at.node == nil:
		r.fault(v, `key "url" is missing`, "or url_file, where the address holds a credential")
	case a.open != nil && a.file.file != "":
		r.fault(v, "url and url_file exclude each other", "")
	case a.open != nil:
		r.reachable(a.at, a.open, d)
	case a.file.file != "":
		if text, err := a.file.read(); err == nil {
			u, err := parseURL(text, true)
			if err != nil {
				r.fault(a.at, err.Error(), "")
				return
			}
			r.reachable(a.at, u, d)
		}
	}
}

// read returns the address as it is now.
func (a *addressKeys) read() (string, error) {
	if a.file.file == "" {
		return a.open.String(), nil
	}
	text, err := a.file.read()
	if err != nil {
		return "", err
	}
	u, err := parseURL(text, true)
	if err != nil {
		return "", fmt.Errorf("address in %s: %w", a.file.file, err)
	}
	return u.String(), nil
}

// target says for people where it goes: of a secret address only the host.
func (a *addressKeys) target() string {
	u := a.open
	if u == nil {
		text, err := a.file.read()
		if err != nil {
			return ""
		}
		if u, err = parseURL(text, true); err != nil {
			return ""
		}
		return u.Scheme + "://" + u.Host + "/***"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

// url reads an address that holds no credential.
func (r *reader) url(v value) *url.URL {
	s := r.text(v, "an address like https://hooks.example.org/holdfast")
	if s == "" {
		return nil
	}
	u, err := parseURL(s, false)
	if err != nil {
		r.fault(v, err.Error(), "")
		return nil
	}
	return u
}

func parseURL(s string, secret bool) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("is no address of http or https; write it like https://hooks.example.org/holdfast")
	case u.User != nil:
		return nil, fmt.Errorf("holds a user or password; secrets stand in files of their own")
	case u.Fragment != "":
		return nil, fmt.Errorf("has a part behind #, which no server sees")
	case !secret && u.RawQuery != "":
		return nil, fmt.Errorf("has a query, which may hold a credential; put the address into a file and name it as url_file")
	case u.Port() != "" && badPort(u.Port()):
		return nil, fmt.Errorf("has no good port")
	}
	return u, nil
}

// reachable tells at once what the guard would say at every notice.
func (r *reader) reachable(v value, u *url.URL, d dialKeys) {
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := d.guard().may(a); err != nil {
			r.fault(v, strings.TrimPrefix(err.Error(), ErrPermanent.Error()+": "), "")
			return
		}
	}
	if u.Scheme == "http" && len(d.allowed) == 0 {
		r.fault(v, "http can be read and changed on its way", "use https, or open the private network it lies in by allow_private")
	}
}

func badPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err != nil || n < 1 || n > 65535
}
