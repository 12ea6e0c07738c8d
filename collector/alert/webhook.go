package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// webhook posts notices as JSON, signed as the Standard Webhooks specification
// says (standardwebhooks.com), for whose checking there are libraries in many
// languages: webhook-id is the same at every try, webhook-timestamp in Unix
// seconds, webhook-signature "v1," and the base64 of HMAC-SHA-256 with the shared
// secret over "ID.TIMESTAMP.BODY".
type webhook struct {
	url    func() (string, error)
	secret secret
	client *http.Client
}

// Posted is the body a webhook receives.
type Posted struct {
	Schema   string               `json:"schema"` // holdfast.notice/v1
	ID       string               `json:"id"`     // of the notice: the same at every try
	Status   holdfast.AlertStatus `json:"status"`
	Reminder bool                 `json:"reminder"`
	Worse    bool                 `json:"worse"`
	Test     bool                 `json:"test"`
	Route    string               `json:"route"`
	At       time.Time            `json:"at"`
	Summary  string               `json:"summary"` // one line
	Text     string               `json:"text"`    // for people, plain
	Link     string               `json:"link,omitempty"`
	Alert    holdfast.Alert       `json:"alert"`
}

// Send posts the notice.
func (s *webhook) Send(ctx context.Context, n Notice) error {
	body, err := json.Marshal(Posted{
		Schema: "holdfast.notice/v1", ID: n.ID, Status: n.Status, Reminder: n.Reminder, Worse: n.Worse, Test: n.Test,
		Route: n.Route, At: n.At.UTC(), Summary: Subject(n), Text: Text(n), Link: Link(n), Alert: n.Alert,
	})
	if err != nil {
		return fmt.Errorf("%w: encode notice: %w", ErrPermanent, err)
	}
	address, err := s.url()
	if err != nil {
		return err
	}
	shared, err := s.secret.read()
	if err != nil {
		return err
	}
	signature, err := sign(shared, n.ID, time.Now(), body)
	if err != nil {
		return fmt.Errorf("secret in %s: %w", s.secret.file, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermanent, plain(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", n.ID)
	req.Header.Set("Webhook-Timestamp", signature.at)
	req.Header.Set("Webhook-Signature", signature.value)
	return do(s.client, req)
}

type signature struct{ at, value string }

// sign signs a body. A secret that opens with "whsec_" is base64, any other is
// taken as it is.
func sign(shared, id string, at time.Time, body []byte) (signature, error) {
	key := []byte(shared)
	if encoded, ok := strings.CutPrefix(shared, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return signature{}, fmt.Errorf("what follows whsec_ is not base64: %w", err)
		}
	}
	s := signature{at: strconv.FormatInt(at.Unix(), 10)}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + s.at + "."))
	mac.Write(body)
	s.value = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return s, nil
}
