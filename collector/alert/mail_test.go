package alert_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

// postOffice is a small mail server on loopback (RFC 5321, STARTTLS, AUTH PLAIN).
type postOffice struct {
	address string
	ca      string            // file
	refuse  map[string]string // command → answer

	mu       sync.Mutex
	messages []string // guarded by mu
	said     []string // commands, guarded by mu
}

func openPostOffice(t *testing.T, startTLS bool, refuse map[string]string) *postOffice {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "post office"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{ca: filepath.Join(t.TempDir(), "ca.pem"), refuse: refuse}
	if err := os.WriteFile(p.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	var secure *tls.Config
	if startTLS {
		secure = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { p.serve(conn, secure) })
		}
	})
	t.Cleanup(func() { l.Close(); sessions.Wait() })
	return p
}

func (p *postOffice) serve(conn net.Conn, secure *tls.Config) {
	defer func() { conn.Close() }()
	encrypted := false
	lines := bufio.NewReader(conn)
	say := func(s string) { fmt.Fprintf(conn, "%s\r\n", s) }
	say("220 post office")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb, _, _ := strings.Cut(line, " ")
		p.mu.Lock()
		p.said = append(p.said, line)
		p.mu.Unlock()
		if answer := p.refuse[verb]; answer != "" {
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			if secure != nil && !encrypted {
				say("250-post office\r\n250 STARTTLS")
			} else {
				say("250-post office\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			t := tls.Server(conn, secure)
			conn, lines, encrypted = t, bufio.NewReader(t), true
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			p.mu.Lock()
			p.messages = append(p.messages, b.String())
			p.mu.Unlock()
			say("250 taken")
		case "AUTH":
			say("235 welcome")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (p *postOffice) mailer(t *testing.T, more string) []alert.Receiver {
	t.Helper()
	return receivers(t, "  ops: {mail: {server: '"+p.address+"', from: holdfast@example.org, to: [ops@example.org, boss@example.org], allow_private: true, ca_file: "+p.ca+more+"}}", "ops")
}

func TestMailArrives(t *testing.T) {
	p := openPostOffice(t, true, nil)
	to := p.mailer(t, ", user: holdfast, password_file: "+file(t, "pass word"))
	if len(to) != 2 || to[0].Target != "ops@example.org through "+p.address {
		t.Fatalf("receivers %+v", to)
	}
	n := damaged(holdfast.AlertFiring)
	n.Alert.What = "Die Kopie von Köln\r\nBcc: everyone@example.org\r\n\r\nis damaged \x1b[31m\u202e"
	n.Alert.Effect = "first\n.\nsecond"
	send(t, to[0], n)
	p.mu.Lock()
	defer p.mu.Unlock()
	login := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00holdfast\x00pass word"))
	if !strings.Contains(strings.Join(p.said, "\n"), "STARTTLS\nEHLO example.org\n"+login+"\nMAIL FROM:<holdfast@example.org>\nRCPT TO:<ops@example.org>\nDATA\nQUIT") {
		t.Errorf("said %q", p.said)
	}
	if len(p.messages) != 1 {
		t.Fatalf("%d messages, want 1", len(p.messages))
	}
	m, err := netmail.ReadMessage(strings.NewReader(p.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if want := "[Holdfast] critical: Die Kopie von Köln Bcc: everyone@example.org is damaged \uFFFD[31m\uFFFD"; err != nil || subject != want {
		t.Errorf("subject %q, %v, want %q", subject, err, want)
	}
	if m.Header.Get("Bcc") != "" || m.Header.Get("To") != "<ops@example.org>" || m.Header.Get("Auto-Submitted") != "auto-generated" ||
		m.Header.Get("Message-Id") != "<n-0001@example.org>" || m.Header.Get("References") != "<alert-a1b2c3@example.org>" {
		t.Errorf("headers %v", m.Header)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if got, want := strings.ReplaceAll(string(body), "\r\n", "\n"), alert.Text(n); err != nil || strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("body %q, %v, want %q", got, err, want)
	}
	for line := range strings.SplitSeq(p.messages[0], "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\n\r\x1b") {
			t.Errorf("line %.100q", line)
		}
	}
}

func TestMailRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		startTLS  bool
		refuse    map[string]string
		permanent bool
		want      string
	}{
		"no such address":  {true, map[string]string{"RCPT": "550 no such user\x1b[31m"}, true, "550 no such user"},
		"try again":        {true, map[string]string{"RCPT": "451 greylisted"}, false, "451 greylisted"},
		"no STARTTLS":      {false, nil, false, "offers no STARTTLS"},
		"STARTTLS refused": {true, map[string]string{"STARTTLS": "454 not now"}, false, "454 not now"},
		"content refused":  {true, map[string]string{"DATA": "554 spam"}, true, "554 spam"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPostOffice(t, c.startTLS, c.refuse)
			err := p.mailer(t, "")[0].Sender.Send(t.Context(), damaged(holdfast.AlertFiring))
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, alert.ErrPermanent) != c.permanent || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("error %v, want %q, for good: %t", err, c.want, c.permanent)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.messages) != 0 {
				t.Errorf("messages %q", p.messages)
			}
		})
	}
	t.Run("a stranger's certificate", func(t *testing.T) {
		p, other := openPostOffice(t, true, nil), openPostOffice(t, true, nil)
		p.ca = other.ca
		err := p.mailer(t, "")[0].Sender.Send(t.Context(), damaged(holdfast.AlertFiring))
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a server inside", func(t *testing.T) {
		_, err := alert.ParseRoutes("a.yaml", []byte("receivers: {ops: {mail: {server: '127.0.0.1:25', from: a@b.c, to: [d@e.f]}}}\nroutes: [{name: r, to: [ops]}]"))
		if err != nil {
			t.Fatal(err)
		}
		routes, _ := alert.ParseRoutes("a.yaml", []byte("receivers: {ops: {mail: {server: '127.0.0.1:25', from: a@b.c, to: [d@e.f]}}}\nroutes: [{name: r, to: [ops]}]"))
		if err := routes.Routes[0].Receivers[0].Sender.Send(t.Context(), damaged(holdfast.AlertFiring)); !errors.Is(err, alert.ErrPermanent) || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("error %v, want a refusal of loopback", err)
		}
	})
}
