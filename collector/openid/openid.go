// Package openid lets people log in with OpenID Connect: authorization code with
// PKCE (RFC 7636), state and nonce bound to the browser that asked, roles from a
// claim. Of what the provider hands out nothing is kept.
//
// The collector works without its provider: it is asked for its addresses and keys
// when somebody wants to log in, and again until it answers.
package openid

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

const (
	askTime    = 10 * time.Second // for one answer of the provider
	askGap     = 5 * time.Second  // between two tries to reach it
	foundFor   = 24 * time.Hour   // how long its addresses are believed
	loginTime  = 10 * time.Minute // for a person to log in there
	clockSkew  = time.Minute      // its clock may be behind ours by
	maxAnswer  = 1 << 20          // bytes
	maxSubject = 255              // characters of a subject, OpenID Connect Core 1.0 section 2
)

// algorithms are those a signature may be made with; none of them lets who can
// only check make one.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// Person is who the provider says has logged in.
type Person struct {
	Name    string // for people; unique at the provider if it keeps its claim so
	Subject string // issuer and subject: who it is for ever
	Role    holdfast.Role
	Life    time.Duration // of the login
}

// Provider is one OpenID Connect provider. Its methods may be called from many
// goroutines at once.
type Provider struct {
	cfg      Config
	redirect string // where it sends people back to
	now      func() time.Time
	client   *http.Client
	seal     cipher.AEAD // of what the browser keeps while its owner logs in there

	mu      sync.Mutex // held while the provider is asked for its addresses
	found   *oidc.Provider
	at      time.Time // when found was, or the last try
	problem error
}

// New returns a provider that sends people back to redirect. It asks nothing yet.
func New(cfg Config, redirect string, now func() time.Time) (*Provider, error) {
	var key [32]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, redirect: redirect, now: now, client: cfg.client(), seal: seal}, nil
}

// Title is what stands on the button.
func (p *Provider) Title() string { return p.cfg.Title }

// Issuer is who the provider is.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// State tells when the provider last answered, and what was wrong the last time
// if it did not.
func (p *Provider) State() (answered time.Time, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.problem != nil {
		return time.Time{}, p.problem.Error()
	}
	return p.at, ""
}

// attempt is what a browser keeps of a login under way.
type attempt struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	To       string    `json:"t"` // page to go to afterwards
	At       time.Time `json:"a"`
}

// Begin returns the address at the provider to go to, and what the browser has to
// bring back: sealed, good for ten minutes. An error means that the provider
// cannot be asked.
func (p *Provider) Begin(ctx context.Context, to string) (address, kept string, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: to, At: p.now()}
	plain, err := json.Marshal(a)
	if err != nil {
		return "", "", err
	}
	kept = base64.RawURLEncoding.EncodeToString(p.seal.Seal(nil, nil, plain, nil))
	return p.oauth(found).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), kept, nil
}

func (p *Provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.Client, ClientSecret: p.cfg.secret, Endpoint: found.Endpoint(), RedirectURL: p.redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.cfg.Scopes...),
	}
}

// codeWord is an error code of RFC 6749, section 4.1.2.1: nothing else of what an
// address holds is said again.
var codeWord = regexp.MustCompile(`^[a-z_]{1,40}$`)

// Finish takes the provider's answer, which the browser brings, and what the
// browser kept. It returns who logged in and the page to go to. A
// *holdfast.Refusal says in words for people why a login is refused; any other
// error is a fault of the provider or on the way to it.
func (p *Provider) Finish(ctx context.Context, kept string, answer url.Values) (Person, string, error) {
	a, err := p.open(kept)
	if err != nil {
		return Person{}, "", refuse("This login was not begun in this browser, or too long ago. Begin again.")
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1:
		return Person{}, a.To, refuse("This answer belongs to another login. Begin again.")
	case answer.Has("iss") && answer.Get("iss") != p.cfg.Issuer: // RFC 9207
		return Person{}, a.To, refuse("This answer comes from another provider. Begin again.")
	case answer.Has("error"):
		why := answer.Get("error")
		if !codeWord.MatchString(why) {
			why = "an error"
		}
		return Person{}, a.To, refuse(fmt.Sprintf("%s did not log you in: it answered %s.", p.cfg.Title, why))
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, a.To, err
	}
	person, err := p.exchange(ctx, found, answer.Get("code"), a)
	return person, a.To, err
}

func refuse(say string) error { return &holdfast.Refusal{Say: say} }

// open opens what the browser kept.
func (p *Provider) open(kept string) (a attempt, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(kept)
	if err != nil {
		return a, err
	}
	plain, err := p.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(plain, &a); err != nil {
		return a, err
	}
	if age := p.now().Sub(a.At); age < 0 || age > loginTime {
		return a, errors.New("too old")
	}
	return a, nil
}

// exchange gives the code for an ID token and reads it. The tokens end here.
func (p *Provider) exchange(ctx context.Context, found *oidc.Provider, code string, a attempt) (Person, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		return Person{}, refuse("The provider does not take back what it answered: it was used already, or too late. Begin again.")
	}
	if err != nil {
		return Person{}, fmt.Errorf("exchange code at %s: %w", p.cfg.Issuer, withoutBody(err))
	}
	raw, _ := tokens.Extra("id_token").(string)
	verifier := found.VerifierContext(ctx, &oidc.Config{ClientID: p.cfg.Client, SupportedSigningAlgs: algorithms, Now: func() time.Time { return p.now().Add(-clockSkew) }})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return Person{}, fmt.Errorf("ID token of %s: %w", p.cfg.Issuer, err)
	}
	claims := claims{}
	if err := token.Claims(&claims); err != nil {
		return Person{}, fmt.Errorf("ID token of %s: %w", p.cfg.Issuer, err)
	}
	party, named := claims["azp"]
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1:
		return Person{}, refuse("The provider's answer belongs to another login. Begin again.")
	case named && party != p.cfg.Client || !named && len(token.Audience) > 1:
		return Person{}, fmt.Errorf("ID token of %s: made for %v, not for %s alone", p.cfg.Issuer, token.Audience, p.cfg.Client)
	case token.AccessTokenHash != "" && token.VerifyAccessToken(tokens.AccessToken) != nil:
		return Person{}, fmt.Errorf("ID token of %s: does not belong to its access token", p.cfg.Issuer)
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return Person{}, fmt.Errorf("ID token of %s: no subject", p.cfg.Issuer)
	}
	if _, ok := claims.find(p.cfg.Claim); !ok && found.UserInfoEndpoint() != "" {
		if err := p.askMore(ctx, found, tokens, token.Subject, claims); err != nil {
			return Person{}, err
		}
	}
	return p.person(token, claims)
}

// askMore adds the claims some providers only tell when asked (Core 5.3).
func (p *Provider) askMore(ctx context.Context, found *oidc.Provider, tokens *oauth2.Token, subject string, into claims) error {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return fmt.Errorf("ask %s about a person: %w", p.cfg.Issuer, err)
	}
	if info.Subject != subject { // Core 5.3.2: must be the same
		return fmt.Errorf("ask %s about a person: it tells of another", p.cfg.Issuer)
	}
	more := claims{}
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("ask %s about a person: %w", p.cfg.Issuer, err)
	}
	for name, v := range more {
		if _, known := into[name]; !known {
			into[name] = v
		}
	}
	return nil
}

// person is who the claims tell of.
func (p *Provider) person(token *oidc.IDToken, c claims) (Person, error) {
	who := Person{Name: c.name(p.cfg.Name, token.Subject), Subject: p.cfg.Issuer + " " + token.Subject}
	values := c.values(p.cfg.Claim)
	i := slices.IndexFunc(p.cfg.Roles, func(m Mapping) bool { return slices.Contains(values, m.Value) })
	if i < 0 {
		return who, refuse(fmt.Sprintf("%s knows you as %s, but nothing it says of you gives a role here. Ask who runs this collector.", p.cfg.Title, who.Name))
	}
	who.Role = p.cfg.Roles[i].Role
	who.Life = p.cfg.session
	if who.Life == 0 {
		who.Life = min(token.Expiry.Sub(p.now()), holdfast.SessionLife)
	}
	if who.Life <= 0 {
		return who, refuse("What the provider said of you holds no longer. Begin again; if this comes back, its clock is behind the collector's.")
	}
	return who, nil
}

// discover returns the provider's addresses, asking for them where they are not
// known or old. One asks; the others wait for it.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.now().Sub(p.at)
	if p.found != nil && p.problem == nil && age < foundFor {
		return p.found, nil
	}
	if p.problem != nil && age < askGap {
		return nil, p.problem
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), askTime)
	defer cancel()
	found, err := oidc.NewProvider(ctx, p.cfg.Issuer)
	if err == nil {
		err = checkAddresses(found)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, err // who asked has gone; nothing is known of the provider
	}
	p.at, p.problem = p.now(), nil
	if err != nil {
		p.problem = fmt.Errorf("the provider %s does not answer as one: %w", p.cfg.Issuer, withoutBody(err))
		return nil, p.problem
	}
	p.found = found
	return found, nil
}

// checkAddresses refuses a provider that sends tokens over the open.
func checkAddresses(found *oidc.Provider) error {
	var doc struct {
		Keys string `json:"jwks_uri"`
	}
	if err := found.Claims(&doc); err != nil {
		return err
	}
	for name, address := range map[string]string{"authorization_endpoint": found.Endpoint().AuthURL, "token_endpoint": found.Endpoint().TokenURL, "jwks_uri": doc.Keys} {
		if u, err := url.Parse(address); err != nil || !secure(u) {
			return fmt.Errorf("its %s %q is not https", name, address)
		}
	}
	return nil
}

// withoutBody cuts what a stranger answered out of an error.
func withoutBody(err error) error {
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		code := r.ErrorCode
		if !codeWord.MatchString(code) {
			code = "no error code"
		}
		return fmt.Errorf("%s, %s", r.Response.Status, code)
	}
	if text := err.Error(); len(text) > 500 {
		return errors.New(text[:500] + "…")
	}
	return err
}

// bounded cuts answers off that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip asks and bounds what is answered.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return b, err
}
