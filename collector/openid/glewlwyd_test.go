package openid_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/openid"
)

// glewlwyd is a real provider, of Debian's package of the same name.
type glewlwyd struct {
	url   string
	stop  func()
	start func()
}

// freePort is a port nothing listens on, below those the system gives out.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(10000))
		if err != nil {
			t.Fatal(err)
		}
		port := 21000 + int(n.Int64())
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// startGlewlwyd starts a provider on a database of its own, with one client and two
// people: ada of the group continuity, and eve of none.
func startGlewlwyd(t *testing.T) *glewlwyd {
	t.Helper()
	for _, tool := range []string{"glewlwyd", "sqlite3"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("no %s: apt-get install -y --no-install-recommends glewlwyd sqlite3", tool)
			}
			t.Skipf("no %s on this machine", tool)
		}
	}
	dir, port := t.TempDir(), freePort(t)
	g := &glewlwyd{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	tables, err := os.Open("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	db := exec.Command("sqlite3", filepath.Join(dir, "db"))
	db.Stdin = io.MultiReader(strings.NewReader("PRAGMA synchronous=off;\n"), tables)
	if out, err := db.CombinedOutput(); err != nil {
		t.Fatalf("make the provider's database: %v\n%s", err, out)
	}
	config := filepath.Join(dir, "conf")
	text := fmt.Sprintf(`port=%d
bind_address="127.0.0.1"
external_url="%s"
login_url="login.html"
api_prefix="api"
static_files_path="/usr/share/glewlwyd/webapp/"
log_mode="console"
log_level="INFO"
cookie_domain="127.0.0.1"
cookie_secure=0
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database={ type="sqlite3" path="%s" };
`, port, g.url, filepath.Join(dir, "db"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start = func() { g.stop = run(t, config) }
	g.start()
	t.Cleanup(func() { g.stop() })
	g.setUp(t)
	return g
}

// run runs the provider until stop, and returns once it answers.
func run(t *testing.T, config string) (stop func()) {
	t.Helper()
	cmd := exec.Command("glewlwyd", "--config-file="+config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up, read := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			t.Log(s.Text())
			if strings.Contains(s.Text(), "Glewlwyd started") {
				up <- true
			}
		}
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		<-read
		cmd.Wait()
	}
	select {
	case <-up:
	case <-read:
		t.Fatal("the provider ended")
	case <-time.After(2 * time.Minute):
		stop()
		t.Fatal("the provider does not start")
	}
	return stop
}

// browser keeps cookies and follows nothing.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// call asks the provider's own API.
func (g *glewlwyd) call(t *testing.T, b *http.Client, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+"/api"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
}

func (g *glewlwyd) setUp(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pemOf := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	admin := browser(t)
	g.call(t, admin, "POST", "/auth", map[string]any{"username": "admin", "password": "password"})
	format := map[string]any{"multiple": true, "read": true, "write": true}
	g.call(t, admin, "PUT", "/mod/user/database", map[string]any{
		"module": "database", "name": "database", "display_name": "people", "order_rank": 0, "readonly": false,
		"parameters": map[string]any{"use-glewlwyd-connection": true, "data-format": map[string]any{"groups": format}},
	})
	g.call(t, admin, "PUT", "/mod/user/database/reset", nil)
	for name, group := range map[string]string{"ada": "continuity", "eve": "guests"} {
		g.call(t, admin, "POST", "/user/", map[string]any{
			"username": name, "password": "password of " + name, "name": strings.ToUpper(name), "email": name + "@acme.example", "enabled": true,
			"scope": []string{"openid"}, "groups": []string{"staff", group},
		})
	}
	g.call(t, admin, "POST", "/client/", map[string]any{
		"client_id": "holdfast", "name": "Holdfast", "enabled": true, "confidential": true, "password": "hush-hush", "client_secret": "hush",
		"redirect_uri": []string{callback}, "authorization_type": []string{"code"}, "token_endpoint_auth_method": []string{"client_secret_basic"}, "scope": []string{},
	})
	g.call(t, admin, "POST", "/mod/plugin/", map[string]any{
		"module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "parameters": map[string]any{
			"iss": g.url + "/api/oidc", "jwt-type": "rsa", "jwt-key-size": "256", "key": pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), "cert": pemOf("PUBLIC KEY", public),
			"access-token-duration": 600, "refresh-token-duration": 600, "code-duration": 60, "refresh-token-rolling": false,
			"allow-non-oidc": false, "auth-type-code-enabled": true, "pkce-allowed": true, "pkce-required": true, "jwks-show": true, "subject-type": "public",
			"claims": []map[string]any{
				{"name": "groups", "user-property": "groups", "type": "string", "mandatory": true, "on-demand": false},
				{"name": "preferred_username", "user-property": "username", "type": "string", "mandatory": true, "on-demand": false},
			},
		},
	})
}

// visit is what a person's browser does at the provider: log in, consent, come
// back with the provider's answer.
func (g *glewlwyd) visit(t *testing.T, name, address string) url.Values {
	t.Helper()
	b := browser(t)
	g.call(t, b, "POST", "/auth", map[string]any{"username": name, "password": "password of " + name})
	g.call(t, b, "PUT", "/auth/grant/holdfast", map[string]any{"scope": "openid"})
	resp, err := b.Get(address + "&g_continue") // what its own login page adds
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s: %s", address, resp.Status, body)
	}
	if !strings.HasPrefix(back.String(), callback+"?") {
		t.Fatalf("the provider sends to %s", back)
	}
	return back.Query()
}

// TestGlewlwyd logs in with a real provider.
func TestGlewlwyd(t *testing.T) {
	g := startGlewlwyd(t)
	cfg, err := configure(t, "issuer: "+g.url+"/api/oidc\nclient: holdfast\nclient_secret_file: secret\nscopes: []\n"+roles)
	if err != nil {
		t.Fatal(err)
	}
	o, err := openid.New(cfg, callback, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	address, kept, err := o.Begin(t.Context(), "/agents")
	if err != nil {
		t.Fatal(err)
	}
	answer := g.visit(t, "ada", address)
	who, to, err := o.Finish(t.Context(), kept, answer)
	if err != nil {
		t.Fatal(err)
	}
	if who.Name != "ada" || who.Role != holdfast.Manager || to != "/agents" || who.Life <= 0 || who.Life > 10*time.Minute {
		t.Errorf("got %+v to %s, want ada the manager, for at most 10m", who, to)
	}
	if _, _, err := o.Finish(t.Context(), kept, answer); err == nil {
		t.Error("the same answer logged in twice")
	}
	for what, c := range map[string]struct {
		name   string
		change func(kept *string, answer url.Values)
		want   string
	}{
		"no role":           {"eve", func(*string, url.Values) {}, "gives a role here"},
		"wrong state":       {"ada", func(_ *string, a url.Values) { a.Set("state", "x") }, "another login"},
		"wrong code":        {"ada", func(_ *string, a url.Values) { a.Set("code", "x") }, ""},
		"another's browser": {"ada", func(k *string, _ url.Values) { *k = kept }, "another login"},
	} {
		address, kept, err := o.Begin(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		answer := g.visit(t, c.name, address)
		c.change(&kept, answer)
		if _, _, err := o.Finish(t.Context(), kept, answer); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", what, err, c.want)
		}
	}
	// The provider goes away with an answer on its way, and comes back.
	address, kept, err = o.Begin(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	answer = g.visit(t, "ada", address)
	g.stop()
	if _, _, err := o.Finish(t.Context(), kept, answer); err == nil || errors.Is(err, holdfast.ErrNoAccess) {
		t.Errorf("provider down: got %v, want a fault", err)
	}
	g.start()
	address, kept, err = o.Begin(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.Finish(t.Context(), kept, g.visit(t, "ada", address)); err != nil {
		t.Errorf("provider up again: %v", err)
	}
}
