package collector

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config is what a collector is started with.
type Config struct {
	Data    string // folder of everything the collector keeps
	Catalog string // folder of the catalogue
	Listen  string // pages and API, HOST:PORT
	Agents  string // agents, HOST:PORT
	// CertFile and KeyFile serve pages and API over HTTPS; needed wherever Listen
	// is not a loopback address.
	CertFile, KeyFile string
	CertificateLife   time.Duration // of an agent's certificate
	Retention         time.Duration // how long posture history is kept
	URL               string        // how people reach the pages; default from Listen
	Alerts            string        // file of the routes of alerts; empty: nobody is told
	OpenID            string        // file of the OpenID Connect provider people log in with; empty: none
}

// DefaultConfig holds where nothing else is said.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8480", Agents: ":8481",
		CertificateLife: 24 * time.Hour,
		Retention:       400 * 24 * time.Hour,
	}
}

// check says every fault of the configuration at once.
func (c *Config) check() error {
	var faults []error
	if c.Data == "" {
		faults = append(faults, errors.New("--data: name the folder the collector keeps its data in"))
	}
	if c.Catalog == "" {
		faults = append(faults, errors.New("--catalog: name the folder of the catalogue (an example: deploy/catalog)"))
	}
	local, err := loopback(c.Listen)
	if err != nil {
		faults = append(faults, fmt.Errorf("--listen: %w", err))
	} else if !local && c.CertFile == "" {
		faults = append(faults, fmt.Errorf("--listen %s: pages on an address that others reach need TLS: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy", c.Listen))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		faults = append(faults, errors.New("--tls-cert and --tls-key: give both or neither"))
	}
	if _, _, err := net.SplitHostPort(c.Agents); err != nil {
		faults = append(faults, fmt.Errorf("--agents %q: write it like :8481 or 10.0.0.5:8481", c.Agents))
	}
	if c.CertificateLife < time.Minute {
		faults = append(faults, fmt.Errorf("--certificate-life %s: at least 1m", c.CertificateLife))
	}
	if c.Retention < 24*time.Hour {
		faults = append(faults, fmt.Errorf("--retention %s: at least 1d", c.Retention))
	}
	return errors.Join(faults...)
}

// loopback reports whether only this machine reaches the address.
func loopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("%q: write it like 127.0.0.1:8480", address)
	}
	if host == "localhost" {
		return true, nil
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback(), nil
}

// url returns how people reach the pages.
func (c *Config) url(bound net.Addr) string {
	if c.URL != "" {
		return c.URL
	}
	if c.CertFile != "" {
		return "https://" + bound.String()
	}
	return "http://" + bound.String()
}
