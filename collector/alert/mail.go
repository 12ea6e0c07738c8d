package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// mail sends notices to one address through a mail server. It speaks SMTP itself
// (net/smtp): the chat library's client dials where it likes, waits without end,
// and writes subjects as they come.
type mail struct {
	server   string // HOST:PORT
	security string // starttls, tls, none
	from, to string // bare addresses, checked
	user     string
	password secret
	guard    guard
}

const (
	mailStartTLS = "starttls" // the connection turns to TLS before anything is said; without it nothing is sent
	mailTLS      = "tls"      // TLS from the first byte (port 465)
	mailPlain    = "none"
)

// Send delivers one message.
func (s *mail) Send(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, 2*deliveryTime)
	defer cancel()
	conn, err := s.guard.dial(ctx, "tcp", s.server)
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails on a closed connection alone, and the next read says so
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := s.talk(conn, n); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("mail server: %w", ctx.Err())
		}
		var refused *textproto.Error
		if errors.As(err, &refused) {
			said := fmt.Errorf("mail server: %d %s", refused.Code, clip(refused.Msg, 200))
			if refused.Code >= 500 {
				return fmt.Errorf("%w: %w", ErrPermanent, said)
			}
			return said
		}
		return fmt.Errorf("mail server: %w", err)
	}
	return nil
}

// talk says one message over an open connection.
func (s *mail) talk(conn net.Conn, n Notice) error {
	host, _, _ := net.SplitHostPort(s.server)
	secure := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.guard.tls != nil {
		secure.RootCAs = s.guard.tls.RootCAs
	}
	conn = bounded{conn, new(int)}
	if s.security == mailTLS {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := c.Hello(domain(s.from)); err != nil {
		return err
	}
	if s.security == mailStartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("offers no STARTTLS; nothing was sent")
		}
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if s.user != "" {
		password, err := s.password.read()
		if err != nil {
			return err
		}
		if err := c.Auth(smtp.PlainAuth("", s.user, password, host)); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	if err := c.Mail(s.from); err != nil {
		return err
	}
	if err := c.Rcpt(s.to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(s.message(n, time.Now())); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the message is taken; how the server says goodbye changes nothing
	return nil
}

// message writes the message (RFC 5322). All notices of an alert are one thread;
// a notice sent twice is one message by its ID.
func (s *mail) message(n Notice, now time.Time) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", "Holdfast <"+s.from+">")
	header("To", "<"+s.to+">")
	header("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", "[Holdfast] "+Subject(n)), "?= =?", "?=\r\n =?"))
	header("Date", now.UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+token(n.ID)+"@"+domain(s.from)+">")
	header("References", "<alert-"+token(n.Alert.ID)+"@"+domain(s.from)+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = q.Write([]byte(strings.ReplaceAll(Text(n), "\n", "\r\n"))) // a buffer takes everything
	_ = q.Close()
	return b.Bytes()
}

// token keeps of an ID what a message ID may hold.
func token(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, id[:min(len(id), 100)])
}

// domain is what follows the @ of an address.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// bounded ends a connection that says more than a mail server has to say.
type bounded struct {
	net.Conn
	read *int
}

func (b bounded) Read(p []byte) (int, error) {
	if *b.read > 1<<20 {
		return 0, errors.New("said more than 1 MiB")
	}
	n, err := b.Conn.Read(p)
	*b.read += n
	return n, err
}
