package openid

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Config is the provider people log in with, as its YAML file says it.
type Config struct {
	Issuer       string    `yaml:"issuer"`             // as its discovery document writes it
	Client       string    `yaml:"client"`             // our client ID there
	SecretFile   string    `yaml:"client_secret_file"` // holds the client's secret; empty: a public client, by PKCE alone
	Title        string    `yaml:"title"`              // on the button: Log in with TITLE; default the issuer's host
	Scopes       []string  `yaml:"scopes"`             // asked for besides openid; default profile
	Name         string    `yaml:"name"`               // claim that says how a person is called; default preferred_username
	Claim        string    `yaml:"claim"`              // claim that gives roles; default groups. a.b is b within a
	Roles        []Mapping `yaml:"roles"`              // the first that fits counts
	Session      string    `yaml:"session"`            // how long a login lasts, at most 12h; default as long as the ID token
	CAFile       string    `yaml:"ca_file"`            // authorities of the provider's certificate, PEM; default the system's
	secret       string
	session      time.Duration
	certificates *x509.CertPool
}

// Mapping gives a role to whom the claim holds a value.
type Mapping struct {
	Value string        `yaml:"value"`
	Role  holdfast.Role `yaml:"role"`
}

// maxFile bounds the configuration, the secret and the certificates, in bytes.
const maxFile = 1 << 20

// Load reads a configuration. It is strict, and says every fault at once.
func Load(file string) (Config, error) {
	text, err := readFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("OpenID Connect: %w", err)
	}
	c := Config{Scopes: []string{"profile"}, Name: "preferred_username", Claim: "groups"}
	if err := yaml.Load(text, &c, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	if err := c.check(filepath.Dir(file)); err != nil {
		return Config{}, fmt.Errorf("%s:\n%w", file, err)
	}
	return c, nil
}

// check says every fault and reads what the file only names.
func (c *Config) check(dir string) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	u, err := url.Parse(c.Issuer)
	switch {
	case c.Issuer == "":
		fault("issuer: write the provider's address, like https://login.example.org/realms/acme")
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		fault("issuer %q: write it like https://login.example.org/realms/acme", c.Issuer)
	case !secure(u):
		fault("issuer %q: the provider must be asked over https (plain http only on this machine)", c.Issuer)
	}
	if c.Title == "" && u != nil {
		c.Title = u.Hostname()
	}
	if c.Client == "" {
		fault("client: write the client ID the provider knows this collector by")
	}
	if c.Name == "" || c.Claim == "" {
		fault("name, claim: leave them out, or name a claim")
	}
	if len(c.Roles) == 0 {
		fault("roles: map at least one value of the claim %s to a role, like - {value: continuity, role: manager}", c.Claim)
	}
	for i, m := range c.Roles {
		if m.Value == "" {
			fault("roles[%d].value: write a value of the claim %s", i, c.Claim)
		}
		if !slices.Contains(holdfast.Roles, m.Role) {
			fault("roles[%d].role: %q is none; use one of %v", i, m.Role, holdfast.Roles)
		}
	}
	if c.Session != "" {
		d, err := holdfast.ParseDuration(c.Session)
		if c.session = d.Std(); err != nil || c.session < time.Minute || c.session > holdfast.SessionLife {
			fault("session %q: between 1m and 12h", c.Session)
		}
	}
	return errors.Join(append(faults, c.readFiles(dir))...)
}

// readFiles reads secret and certificates; a path is relative to the configuration.
func (c *Config) readFiles(dir string) error {
	var faults []error
	if c.SecretFile != "" {
		text, err := readFile(within(dir, c.SecretFile))
		if c.secret = strings.TrimSpace(string(text)); err != nil || c.secret == "" {
			faults = append(faults, fmt.Errorf("client_secret_file: %w", errors.Join(err, emptyIf(err == nil, c.SecretFile))))
		}
	}
	if c.CAFile != "" {
		text, err := readFile(within(dir, c.CAFile))
		if c.certificates = x509.NewCertPool(); err != nil || !c.certificates.AppendCertsFromPEM(text) {
			faults = append(faults, fmt.Errorf("ca_file: %w", errors.Join(err, emptyIf(err == nil, c.CAFile))))
		}
	}
	return errors.Join(faults...)
}

func emptyIf(empty bool, file string) error {
	if empty {
		return fmt.Errorf("%s holds nothing of use", file)
	}
	return nil
}

func within(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAtMost(f, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// secure reports whether an address may be asked: nobody between can read or
// change what is said.
func secure(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// client asks the provider: briefly, boundedly, and only where it was told to.
func (c *Config) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = c.certificates
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport: bounded{transport}, Timeout: askTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the provider sends elsewhere: write the issuer exactly as it does")
		},
	}
}
