package openid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/openid"
)

const (
	callback = "http://127.0.0.1:8480/login/oidc"
	roles    = "roles:\n  - {value: continuity, role: manager}\n  - {value: everyone, role: viewer}\n"
)

// idp is a provider that can be made to misbehave: the faults no real one can be
// talked into. A real one is asked in glewlwyd_test.go.
type idp struct {
	*httptest.Server
	key    *ecdsa.PrivateKey
	now    func() time.Time
	claims map[string]any           // of the ID token, over the right ones; nil deletes
	sign   func(claims any) string  // how the ID token is made
	info   map[string]any           // of userinfo; nil: there is none
	doc    func(doc map[string]any) // changes the discovery document

	mu        sync.Mutex
	challenge string // guarded by mu: of the login under way
	nonce     string // guarded by mu
	code      string // guarded by mu: good once
	asked     int    // guarded by mu: how often the discovery document was
	down      bool   // guarded by mu
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{key: key, now: time.Now, claims: map[string]any{}, doc: func(map[string]any) {}}
	p.sign = func(claims any) string { return signed(t, jose.ES256, key, claims) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.info) })
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (p *idp) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		http.Error(w, "down for maintenance", http.StatusBadGateway)
		return
	}
	doc := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"},
	}
	if p.info != nil {
		doc["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	p.doc(doc)
	writeJSON(w, doc)
}

// authorise is what a person's browser does at the provider: it comes with an
// address and goes back with a code.
func (p *idp) authorise(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if got := strings.Join([]string{q.Get("response_type"), q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge_method"), q.Get("scope")}, " "); got != "code holdfast "+callback+" S256 openid profile" {
		t.Errorf("asked for %q", got)
	}
	if q.Get("state") == "" || q.Get("nonce") == "" || q.Get("code_challenge") == "" || q.Get("state") == q.Get("nonce") {
		t.Errorf("no state, nonce or challenge of its own: %s", address)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.challenge, p.nonce, p.code = q.Get("code_challenge"), q.Get("nonce"), rand.Text()
	return url.Values{"state": {q.Get("state")}, "code": {p.code}}
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	if p.code == "" || r.PostFormValue("code") != p.code || base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge || id != "holdfast" || secret != "hush" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"<script>"}`)
		return
	}
	p.code = ""
	claims := map[string]any{
		"iss": p.URL, "aud": "holdfast", "sub": "u-17", "nonce": p.nonce, "iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix(),
		"preferred_username": "ada", "groups": []string{"staff", "everyone"},
	}
	for name, v := range p.claims {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	writeJSON(w, map[string]any{"access_token": "at-1", "token_type": "Bearer", "id_token": p.sign(claims)})
}

// signed is a token made with a key.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// configure writes a configuration and loads it.
func configure(t *testing.T, text string) (openid.Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"oidc.yaml": text, "secret": "hush\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return openid.Load(filepath.Join(dir, "oidc.yaml"))
}

func provider(t *testing.T, p *idp, more string) *openid.Provider {
	t.Helper()
	cfg, err := configure(t, "issuer: "+p.URL+"\nclient: holdfast\nclient_secret_file: secret\n"+roles+more)
	if err != nil {
		t.Fatal(err)
	}
	o, err := openid.New(cfg, callback, func() time.Time { return p.now() })
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// login logs in once; change may change what the browser brings back.
func login(t *testing.T, p *idp, o *openid.Provider, change func(kept *string, answer url.Values)) (openid.Person, string, error) {
	t.Helper()
	address, kept, err := o.Begin(t.Context(), "/services/payments?x=1")
	if err != nil {
		t.Fatal(err)
	}
	answer := p.authorise(t, address)
	if change != nil {
		change(&kept, answer)
	}
	return o.Finish(t.Context(), kept, answer)
}

func TestLogin(t *testing.T) {
	p := newIDP(t)
	o := provider(t, p, "")
	who, to, err := login(t, p, o, nil)
	if err != nil || who.Name != "ada" || who.Role != holdfast.Viewer || to != "/services/payments?x=1" || who.Subject != p.URL+" u-17" {
		t.Errorf("got %+v to %q, %v", who, to, err)
	}
	if who.Life <= 4*time.Minute || who.Life > 5*time.Minute {
		t.Errorf("login lasts %s, want no longer than the ID token", who.Life)
	}
	p.claims["groups"] = []string{"everyone", "continuity"}
	if who, _, err := login(t, p, o, nil); err != nil || who.Role != holdfast.Manager {
		t.Errorf("two values mapped: got %+v, %v, want the first of the configuration", who, err)
	}
	p.claims["exp"] = time.Now().Add(48 * time.Hour).Unix()
	if who, _, err := login(t, p, o, nil); err != nil || who.Life != holdfast.SessionLife {
		t.Errorf("a token of two days: login lasts %s, %v, want 12h", who.Life, err)
	}
	if who, _, err := login(t, p, provider(t, p, "session: 30m\n"), nil); err != nil || who.Life != 30*time.Minute {
		t.Errorf("session: 30m: login lasts %s, %v", who.Life, err)
	}
	if p.asked != 2 {
		t.Errorf("the discovery document was read %d times by two providers, want once each", p.asked)
	}
}

// Where roles and names come from.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		what, config string
		claims, info map[string]any
		name         string
		role         holdfast.Role
	}{
		{"one text", "", map[string]any{"groups": "continuity"}, nil, "ada", holdfast.Manager},
		{"within another", "claim: realm_access.roles\n", map[string]any{"realm_access": map[string]any{"roles": []string{"continuity"}}}, nil, "ada", holdfast.Manager},
		{"an address as a name", "claim: https://acme.example/roles\n", map[string]any{"https://acme.example/roles": []string{"everyone"}}, nil, "ada", holdfast.Viewer},
		{"only told when asked", "", map[string]any{"groups": nil}, map[string]any{"sub": "u-17", "groups": []string{"continuity"}}, "ada", holdfast.Manager},
		{"another name", "name: email\n", map[string]any{"email": "ada@acme.example"}, nil, "ada@acme.example", holdfast.Viewer},
		{"no such name", "", map[string]any{"preferred_username": nil, "email": "ada@acme.example"}, nil, "ada@acme.example", holdfast.Viewer},
		{"a name that turns text", "", map[string]any{"preferred_username": "ada\u202egnp", "name": "Ada"}, nil, "Ada", holdfast.Viewer},
		{"a name too long", "", map[string]any{"preferred_username": strings.Repeat("x", 101)}, nil, "u-17", holdfast.Viewer},
		{"nothing but a subject of rubbish", "", map[string]any{"preferred_username": "\x1b[31m", "sub": "\x00"}, nil, "somebody", holdfast.Viewer},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newIDP(t)
			p.claims, p.info = c.claims, c.info
			who, _, err := login(t, p, provider(t, p, c.config), nil)
			if err != nil || who.Name != c.name || who.Role != c.role {
				t.Errorf("got %+v, %v; want %s, %s", who, err, c.name, c.role)
			}
		})
	}
}

// Whatever is not as it must be is refused, and the reason can be read.
func TestRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(claims any) string {
		body, _ := json.Marshal(claims)
		b64 := base64.RawURLEncoding
		return b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString(body) + "."
	}
	for _, c := range []struct {
		what    string
		provide func(t *testing.T, p *idp)
		bring   func(kept *string, answer url.Values)
		refusal bool // in words for people, not a fault
		want    string
	}{
		{what: "wrong state", bring: func(_ *string, a url.Values) { a.Set("state", "x") }, refusal: true, want: "another login"},
		{what: "no state", bring: func(_ *string, a url.Values) { a.Del("state") }, refusal: true, want: "another login"},
		{what: "no cookie", bring: func(k *string, _ url.Values) { *k = "" }, refusal: true, want: "not begun in this browser"},
		{what: "a changed cookie", bring: func(k *string, _ url.Values) { *k = (*k)[:len(*k)-2] + "AA" }, refusal: true, want: "not begun in this browser"},
		{what: "a wrong code", bring: func(_ *string, a url.Values) { a.Set("code", "x") }, refusal: true, want: "used already"},
		{what: "an answer of another provider", bring: func(_ *string, a url.Values) { a.Set("iss", "https://evil.example") }, refusal: true, want: "another provider"},
		{what: "said no", bring: func(_ *string, a url.Values) { a.Set("error", "access_denied") }, refusal: true, want: "answered access_denied"},
		{what: "said markup", bring: func(_ *string, a url.Values) { a.Set("error", "<script>") }, refusal: true, want: "answered an error"},
		{what: "wrong nonce", provide: func(_ *testing.T, p *idp) { p.claims["nonce"] = "x" }, refusal: true, want: "another login"},
		{what: "no nonce", provide: func(_ *testing.T, p *idp) { p.claims["nonce"] = nil }, refusal: true, want: "another login"},
		{what: "expired", provide: func(_ *testing.T, p *idp) { p.claims["exp"] = time.Now().Add(-2 * time.Minute).Unix() }, want: "expired"},
		{what: "just expired", provide: func(_ *testing.T, p *idp) { p.claims["exp"] = time.Now().Add(-20 * time.Second).Unix() }, refusal: true, want: "holds no longer"},
		{what: "not yet", provide: func(_ *testing.T, p *idp) { p.claims["nbf"] = time.Now().Add(time.Hour).Unix() }, want: "nbf"},
		{what: "other audience", provide: func(_ *testing.T, p *idp) { p.claims["aud"] = "wiki" }, want: "audience"},
		{what: "two audiences, no party", provide: func(_ *testing.T, p *idp) { p.claims["aud"] = []string{"wiki", "holdfast"} }, want: "not for holdfast alone"},
		{what: "another party", provide: func(_ *testing.T, p *idp) { p.claims["azp"] = "wiki" }, want: "not for holdfast alone"},
		{what: "other issuer", provide: func(_ *testing.T, p *idp) { p.claims["iss"] = "https://evil.example" }, want: "different provider"},
		{what: "no subject", provide: func(_ *testing.T, p *idp) { p.claims["sub"] = "" }, want: "no subject"},
		{what: "another access token", provide: func(_ *testing.T, p *idp) { p.claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }, want: "access token"},
		{what: "no ID token", provide: func(_ *testing.T, p *idp) { p.sign = func(any) string { return "" } }, want: "ID token"},
		{what: "wrong key", provide: func(t *testing.T, p *idp) {
			p.sign = func(c any) string { return signed(t, jose.ES256, other, c) }
		}, want: "signature"},
		{what: "none", provide: func(_ *testing.T, p *idp) { p.sign = unsigned }, want: "none"},
		{what: "the public key as a secret", provide: func(t *testing.T, p *idp) {
			der, _ := p.key.PublicKey.Bytes()
			p.sign = func(c any) string { return signed(t, jose.HS256, der, c) }
		}, want: "HS256"},
		{what: "no role", provide: func(_ *testing.T, p *idp) { p.claims["groups"] = []string{"staff"} }, refusal: true, want: "gives a role here"},
		{what: "roles of another type", provide: func(_ *testing.T, p *idp) { p.claims["groups"] = 17 }, refusal: true, want: "gives a role here"},
		{what: "userinfo of another", provide: func(_ *testing.T, p *idp) {
			p.claims["groups"], p.info = nil, map[string]any{"sub": "u-18", "groups": []string{"continuity"}}
		}, want: "tells of another"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newIDP(t)
			if c.provide != nil {
				c.provide(t, p)
			}
			_, _, err := login(t, p, provider(t, p, ""), c.bring)
			if err == nil {
				t.Fatal("logged in")
			}
			if errors.Is(err, holdfast.ErrNoAccess) != c.refusal || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (a refusal: %v), want …%s… (%v)", err, errors.Is(err, holdfast.ErrNoAccess), c.want, c.refusal)
			}
			if strings.Contains(err.Error(), "<script>") {
				t.Errorf("the provider's words are said again: %v", err)
			}
		})
	}
}

// A code is good once, a login under way for ten minutes.
func TestOnceAndSoon(t *testing.T) {
	p := newIDP(t)
	began := time.Now()
	clock := began
	p.now = func() time.Time { return clock }
	o := provider(t, p, "")
	address, kept, err := o.Begin(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	answer := p.authorise(t, address)
	if _, _, err := o.Finish(t.Context(), kept, answer); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Finish(t.Context(), kept, answer); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("the same answer again: got %v, want a refusal", err)
	}
	clock = began.Add(11 * time.Minute)
	if _, _, err := o.Finish(t.Context(), kept, p.authorise(t, address)); !errors.Is(err, holdfast.ErrNoAccess) || !strings.Contains(err.Error(), "too long ago") {
		t.Errorf("eleven minutes later: got %v, want a refusal", err)
	}
	// Another collector, or this one after a restart, does not take it.
	clock = began
	if _, _, err := provider(t, p, "").Finish(t.Context(), kept, answer); !errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("another collector: got %v, want a refusal", err)
	}
}

// A provider that is down is found once it is up, and not asked all the time.
func TestProviderDown(t *testing.T) {
	p := newIDP(t)
	clock := time.Now()
	p.now = func() time.Time { return clock }
	p.down = true
	o := provider(t, p, "")
	for range 10 {
		if _, _, err := o.Begin(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Fatalf("down: got %v", err)
		}
	}
	if p.asked != 1 {
		t.Errorf("asked %d times at one moment, want once", p.asked)
	}
	if at, problem := o.State(); !at.IsZero() || !strings.Contains(problem, "502") {
		t.Errorf("state: got %v, %q", at, problem)
	}
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
	clock = clock.Add(6 * time.Second)
	if _, _, err := login(t, p, o, nil); err != nil {
		t.Errorf("up again: got %v", err)
	}
	if at, problem := o.State(); at.IsZero() || problem != "" {
		t.Errorf("state: got %v, %q", at, problem)
	}
	for name, change := range map[string]func(map[string]any){
		"another issuer":      func(d map[string]any) { d["issuer"] = "https://evil.example" },
		"tokens in the open":  func(d map[string]any) { d["token_endpoint"] = "http://203.0.113.5/token" },
		"keys from elsewhere": func(d map[string]any) { d["jwks_uri"] = "ftp://example.org/keys" },
		"far too long":        func(d map[string]any) { d["x"] = strings.Repeat("x", 2<<20) },
	} {
		p := newIDP(t)
		p.doc = change
		if _, _, err := provider(t, p, "").Begin(t.Context(), "/"); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A new key of the provider is found when a token is signed with it.
func TestKeyRotation(t *testing.T) {
	p := newIDP(t)
	o := provider(t, p, "")
	if _, _, err := login(t, p, o, nil); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.key = key
	p.sign = func(c any) string { return signed(t, jose.ES256, crypto.PrivateKey(key), c) }
	if _, _, err := login(t, p, o, nil); err != nil {
		t.Errorf("after the provider's key changed: %v", err)
	}
}

// A mistake in the file is said with its place.
func TestConfig(t *testing.T) {
	good := "issuer: https://login.example.org/realms/acme\nclient: holdfast\n" + roles
	for name, c := range map[string]struct{ text, want string }{
		"good":               {good, ""},
		"secret":             {good + "client_secret_file: secret\n", ""},
		"unknown key":        {good + "isuer: x\n", "isuer"},
		"key twice":          {good + "client: x\n", "client"},
		"two documents":      {good + "---\nclient: x\n", "document"},
		"nothing":            {"{}", "issuer: write the provider's address"},
		"plain http":         {strings.Replace(good, "https", "http", 1), "over https"},
		"no address":         {strings.Replace(good, "https://", "", 1), "write it like"},
		"with a question":    {strings.Replace(good, "acme", "acme?x=1", 1), "write it like"},
		"no roles":           {"issuer: https://x.example\nclient: h\n", "map at least one value"},
		"a role that is no":  {strings.Replace(good, "viewer", "boss", 1), `roles[1].role: "boss" is none`},
		"a value that is no": {strings.Replace(good, "everyone", `""`, 1), "roles[1].value"},
		"too long":           {good + "session: 2d\n", "between 1m and 12h"},
		"no duration":        {good + "session: soon\n", "between 1m and 12h"},
		"no secret":          {good + "client_secret_file: nosuch\n", "client_secret_file: open"},
		"empty secret":       {good + "client_secret_file: empty\n", "nothing of use"},
		"no certificates":    {good + "ca_file: secret\n", "ca_file"},
	} {
		_, err := configure(t, c.text)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := openid.Load(filepath.Join(t.TempDir(), "nosuch")); err == nil {
		t.Error("a file that is not there was read")
	}
}
