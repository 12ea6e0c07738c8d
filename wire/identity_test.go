package wire_test

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-monitor/holdfast/wire"
)

func TestToken(t *testing.T) {
	for _, name := range []string{"db1", "db1.fra.example.org", "A-b_c.9"} {
		want := wire.Token{Agent: name, Secret: [32]byte{1, 2, 3}, Authority: [32]byte{9, 8}}
		got, err := wire.ParseToken(" " + want.String() + "\n")
		if err != nil || got != want {
			t.Errorf("ParseToken(%q) = %+v, %v; want %+v", want, got, err, want)
		}
	}
	good := wire.Token{Agent: "db1", Secret: [32]byte{7}}.String()
	for _, bad := range []string{"", "hf1.", "hf2" + good[3:], good[:len(good)-1], good + "A", good + "=", strings.Replace(good, "db1", "-db1", 1),
		strings.Replace(good, "db1", "d/b", 1), strings.Replace(good, "db1.", "", 1), strings.Repeat("hf1.x", 100)} {
		got, err := wire.ParseToken(bad)
		if err == nil {
			t.Errorf("ParseToken(%q) = %+v, want an error", bad, got)
		} else if len(bad) > 60 && strings.Contains(err.Error(), bad[20:40]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func TestAgentOf(t *testing.T) {
	cert := func(uris ...string) *x509.Certificate {
		c := &x509.Certificate{}
		for _, s := range uris {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		return c
	}
	if got, err := wire.AgentOf(cert(wire.AgentURI("db1.example").String())); err != nil || got != "db1.example" {
		t.Errorf("AgentOf = %q, %v; want db1.example", got, err)
	}
	two := cert("holdfast://agent/db1")
	two.DNSNames = []string{"db2"}
	for name, c := range map[string]*x509.Certificate{
		"none": cert(), "two": cert("holdfast://agent/db1", "holdfast://agent/db2"), "a name beside": two,
		"another role": cert("holdfast://collector/db1"), "another scheme": cert("https://agent/db1"),
		"below": cert("holdfast://agent/db1/x"), "query": cert("holdfast://agent/db1?x"), "user": cert("holdfast://u@agent/db1"),
		"empty": cert("holdfast://agent/"), "escaped": cert("holdfast://agent/db%2f1"), "double slash": cert("holdfast://agent//db1"),
	} {
		if got, err := wire.AgentOf(c); err == nil {
			t.Errorf("%s: AgentOf = %q, want an error", name, got)
		}
	}
}
