package alert

import (
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// receiver reads one receiver: exactly one of the types.
func (r *routesReader) receiver(name string, v value) (list []Receiver) {
	types := 0
	one := func(read func(name string, v value) []Receiver) func(value) {
		return func(v value) {
			if types++; types > 1 {
				r.fault(v, "a receiver has one type", "write another receiver")
			}
			list = read(name, v)
		}
	}
	ok := r.mapping(v, "one of alertmanager, webhook, mail, chat",
		key{"alertmanager", false, one(r.alertmanager)},
		key{"webhook", false, one(r.webhook)},
		key{"mail", false, one(r.mail)},
		key{"chat", false, one(r.chat)})
	if ok && types == 0 {
		r.fault(v, "want one of alertmanager, webhook, mail, chat", "")
	}
	return list
}

func (r *routesReader) alertmanager(name string, v value) (list []Receiver) {
	var urls []*url.URL
	var token secret
	var d dialKeys
	r.mapping(v, "keys: urls, token_file, allow_private, ca_file", append(d.keys(&r.reader),
		key{"urls", true, func(v value) {
			r.texts(v, "addresses of every peer, like http://am1.example.org:9093", func(v value) string {
				if u := r.url(v); u != nil {
					urls = append(urls, u)
					return u.String()
				}
				return ""
			})
		}},
		key{"token_file", false, func(v value) { token = r.secret(v, 1) }})...)
	client := d.guard().client()
	for _, u := range urls {
		r.reachable(v, u, d)
		list = append(list, Receiver{Name: name + "/" + u.Host, Type: "alertmanager", Target: u.String(), Refresh: refresh,
			Sender: &alertmanager{url: strings.TrimRight(u.String(), "/") + "/api/v2/alerts", token: token, client: client}})
	}
	return list
}

func (r *routesReader) webhook(name string, v value) []Receiver {
	var d dialKeys
	var a addressKeys
	var shared secret
	r.mapping(v, "keys: url or url_file, secret_file, allow_private, ca_file", append(append(d.keys(&r.reader), a.keys(r)...),
		key{"secret_file", true, func(v value) {
			if shared = r.secret(v, 16); shared.file != "" {
				if text, err := shared.read(); err == nil {
					if _, err := sign(text, "", time.Time{}, nil); err != nil {
						r.fault(v, err.Error(), "")
					}
				}
			}
		}})...)
	a.check(r, v, d)
	return []Receiver{{Name: name, Type: "webhook", Target: a.target(), Sender: &webhook{url: a.read, secret: shared, client: d.guard().client()}}}
}

func (r *routesReader) mail(name string, v value) (list []Receiver) {
	var d dialKeys
	m := mail{security: mailStartTLS}
	var to []string
	address := func(v value) string {
		a, err := netmail.ParseAddress(r.text(v, "an address like ops@example.org"))
		if err != nil || clip(a.Address, 254) != a.Address || strings.ContainsFunc(a.Address, func(c rune) bool { return c <= ' ' || c > '~' || c == '<' || c == '>' }) {
			r.fault(v, "is no mail address", "write it like ops@example.org")
			return ""
		}
		return a.Address
	}
	r.mapping(v, "keys: server, from, to, …", append(d.keys(&r.reader),
		key{"server", true, func(v value) {
			m.server = r.text(v, "HOST:PORT")
			if host, port, err := net.SplitHostPort(m.server); m.server != "" && (err != nil || host == "" || badPort(port)) {
				r.fault(v, fmt.Sprintf("%q is not HOST:PORT", clip(m.server, 80)), "write it like mail.example.org:587")
			}
		}},
		key{"from", true, func(v value) { m.from = address(v) }},
		key{"to", true, func(v value) { to = r.texts(v, "a list of addresses", address) }},
		key{"user", false, func(v value) { m.user = r.text(v, "the user to log in as") }},
		key{"password_file", false, func(v value) { m.password = r.secret(v, 1) }},
		key{"security", false, func(v value) { m.security = r.word(v, []string{mailStartTLS, mailTLS, mailPlain}) }})...)
	if (m.user == "") != (m.password.file == "") {
		r.fault(v, "user and password_file belong together", "give both or neither")
	}
	if m.security == mailPlain && (m.user != "" || len(d.allowed) == 0) {
		r.fault(v, "security: none is for servers within allow_private, without a user", "use starttls or tls")
	}
	m.guard = d.guard()
	for _, a := range to {
		one := m
		one.to = a
		list = append(list, Receiver{Name: name + "/" + a, Type: "mail", Target: a + " through " + m.server, Sender: &one})
	}
	return list
}

func (r *routesReader) chat(name string, v value) []Receiver {
	var file secret
	target := ""
	r.mapping(v, "key url_file", key{"url_file", true, func(v value) {
		if file = r.secret(v, 1); file.file == "" {
			return
		}
		text, err := file.read()
		if err != nil {
			return // said already
		}
		service, at, err := chatURL(text)
		if err != nil {
			r.fault(v, err.Error(), "")
			return
		}
		if err := service.make().Initialize(at, silent()); err != nil {
			r.fault(v, fmt.Sprintf("%s does not take this service URL: %s", at.Scheme, masked(err, at)), "")
		}
		if target = service.host; service.hosts != nil {
			target = at.Hostname()
		}
		target = at.Scheme + " (" + target + ")"
	}})
	return []Receiver{{Name: name, Type: "chat", Target: target, Sender: newChat(file)}}
}

// secret reads the path of a secret's file and tries it.
func (r *reader) secret(v value, least int) secret {
	s := secret{file: r.text(v, "the absolute path of a file"), min: least}
	if s.file == "" {
		return secret{}
	}
	if !filepath.IsAbs(s.file) {
		r.fault(v, fmt.Sprintf("%q is no absolute path", clip(s.file, 80)), "secrets stand in files of their own, never here")
		return secret{}
	}
	if _, err := s.read(); err != nil {
		r.fault(v, strings.TrimPrefix(err.Error(), "read secret: "), "")
	}
	return s
}
