package web

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// hostGuard refuses requests that reach a loopback address under a name that is
// neither a loopback name nor one of hosts: a web site whose name was pointed at
// 127.0.0.1 (DNS rebinding) would otherwise speak as this machine. On other
// addresses the certificate says who we are.
func hostGuard(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if tcp, ok := local.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
			name := hostName(r.Host)
			if !loopbackName(name) && !slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
				writeProblem(w, http.StatusMisdirectedRequest, "these pages are not known under the name that was asked for; use localhost, or tell the collector its public name")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is the name of a Host header, without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func loopbackName(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ip := net.ParseIP(name); ip != nil {
		return ip.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
