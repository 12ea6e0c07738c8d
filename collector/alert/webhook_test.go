package alert_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/alert"
)

const key = "a secret of enough bytes"

// hook returns the receiver of a webhook served by the handler.
func hook(t *testing.T, secret string, handler http.HandlerFunc) alert.Receiver {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return receivers(t, "  desk: {webhook: {url: '"+server.URL+"/in', allow_private: true, secret_file: "+file(t, secret)+"}}", "desk")[0]
}

// The receiver checks the signature as the Standard Webhooks specification says.
func TestWebhookIsSigned(t *testing.T) {
	raw := []byte("sixteen bytes or more")
	for name, secret := range map[string]string{"plain": key + "\n", "standard": "whsec_" + base64.StdEncoding.EncodeToString(raw)} {
		t.Run(name, func(t *testing.T) {
			shared := []byte(key)
			if name == "standard" {
				shared = raw
			}
			var got alert.Posted
			var problem string
			to := hook(t, secret, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					problem = err.Error()
				}
				id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
				mac := hmac.New(sha256.New, shared)
				mac.Write([]byte(id + "." + at + "." + string(body)))
				if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
					problem = "signature " + r.Header.Get("webhook-signature") + ", want " + want
				}
				if seconds, err := strconv.ParseInt(at, 10, 64); err != nil || time.Since(time.Unix(seconds, 0)) > time.Minute {
					problem = "timestamp " + at
				}
				if id != "n-0001" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/in" {
					problem = r.Method + " " + r.URL.Path + " as " + id
				}
				if err := json.Unmarshal(body, &got); err != nil {
					problem = err.Error()
				}
			})
			n := damaged(holdfast.AlertFiring)
			send(t, to, n)
			if problem != "" {
				t.Fatal(problem)
			}
			want := alert.Posted{
				Schema: "holdfast.notice/v1", ID: "n-0001", Status: holdfast.AlertFiring, Route: "everything", At: n.At.UTC().Round(0),
				Summary: alert.Subject(n), Text: alert.Text(n), Link: "https://holdfast.example.org/services/payments", Alert: n.Alert,
			}
			if diff := cmp.Diff(got, want, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
				t.Errorf("body (-got +want):\n%s", diff)
			}
		})
	}
}

func TestWebhookAnswers(t *testing.T) {
	for _, c := range []struct {
		status    int
		delivered bool
		permanent bool
	}{
		{200, true, false}, {202, true, false}, {204, true, false},
		{301, false, true}, {302, false, true}, {307, false, true}, {308, false, true},
		{400, false, true}, {401, false, true}, {404, false, true}, {410, false, true}, {413, false, true},
		{408, false, false}, {425, false, false}, {429, false, false}, {500, false, false}, {503, false, false},
	} {
		asked := 0
		to := hook(t, key, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		})
		err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring))
		if (err == nil) != c.delivered || errors.Is(err, alert.ErrPermanent) != c.permanent {
			t.Errorf("%d gives %v, want delivered: %t, for good: %t", c.status, err, c.delivered, c.permanent)
		}
		if asked != 1 {
			t.Errorf("%d: asked %d times, want once", c.status, asked)
		}
	}
}

func TestWebhookHostileReceivers(t *testing.T) {
	t.Run("drips", func(t *testing.T) {
		gone := make(chan struct{})
		to := hook(t, key, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			defer close(gone)
			w.WriteHeader(http.StatusOK)
			for {
				if _, err := w.Write([]byte(".")); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_ = to.Sender.Send(ctx, damaged(holdfast.AlertFiring)) // it said 200, which counts; what matters is that this ends
		<-gone
	})
	t.Run("never answers", func(t *testing.T) {
		to := hook(t, key, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then does a server see that its client is gone
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := to.Sender.Send(ctx, damaged(holdfast.AlertFiring)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, alert.ErrPermanent) {
			t.Errorf("%v, want a deadline to be tried again", err)
		}
	})
	t.Run("answers 300 MB", func(t *testing.T) {
		written := make(chan int, 1)
		to := hook(t, key, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			block, sum := bytes.Repeat([]byte("x"), 1<<20), 0
			for range 300 {
				n, err := w.Write(block)
				if sum += n; err != nil {
					break
				}
			}
			written <- sum
		})
		err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring))
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("error %.600v", err)
		}
		if n := <-written; n > 64<<20 {
			t.Errorf("%d bytes of the answer were taken", n)
		}
	})
	t.Run("answers with escapes", func(t *testing.T) {
		to := hook(t, key, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "\x1b[31mno\r\n\u202etxt")
		})
		err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring))
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\r\n\u202e") {
			t.Errorf("error %q", err)
		}
	})
	t.Run("sends endless headers", func(t *testing.T) {
		to := hook(t, key, func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Header().Add("X", strings.Repeat("x", 10_000))
			}
		})
		if err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring)); err == nil {
			t.Error("1 MB of headers was taken")
		}
	})
}

// A secret is read at every use, and an error never holds an address that may be
// one.
func TestWebhookSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	address := server.URL
	url, secret := file(t, address+"/T0K3N-OF-THE-PATH?k=QUERY-TOKEN"), file(t, key)
	to := receivers(t, "  desk: {webhook: {url_file: "+url+", allow_private: true, secret_file: "+secret+"}}", "desk")[0]
	send(t, to, damaged(holdfast.AlertFiring))
	if strings.Contains(to.Target, "T0K3N") || !strings.HasPrefix(to.Target, address) {
		t.Errorf("target %q", to.Target)
	}
	server.Close()
	if err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring)); err == nil || strings.Contains(err.Error(), "TOKEN") || strings.Contains(err.Error(), "T0K3N") {
		t.Errorf("error %v", err)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := to.Sender.Send(t.Context(), damaged(holdfast.AlertFiring)); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("a secret others read gives %v", err)
	}
}
