package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// readAt is the instant at which an answer was made. It stands first in a body
// (after its schema), so that an answer which differs in nothing else is known to
// be the same: that is why the tags are weak.
var readAt = regexp.MustCompile(`^\{("schema":"[^"]*",)?"at":"[^"]*"`)

// conditional gives every answer of status 200 an ETag, made from what it says,
// and answers 304 to who has it already.
func conditional(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := &held{ResponseWriter: w, status: http.StatusOK}
		next(h, r)
		if h.through {
			return
		}
		if h.status == http.StatusOK && w.Header().Get("Content-Type") != streamForm {
			tag := entityTag(h.body.Bytes())
			w.Header().Set("ETag", tag)
			w.Header().Set("Vary", "Accept, Authorization, Cookie")
			if matches(r.Header.Get("If-None-Match"), tag) {
				w.Header().Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.Header().Set("Content-Length", strconv.Itoa(h.body.Len()))
		w.WriteHeader(h.status)
		w.Write(h.body.Bytes()) // an error means the client is gone
	}
}

func entityTag(body []byte) string {
	sum := sha256.Sum256(body[len(readAt.Find(body)):])
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}

// matches compares as If-None-Match does, weakly (RFC 9110, 13.1.2).
func matches(sent, tag string) bool {
	if strings.TrimSpace(sent) == "*" {
		return true
	}
	for one := range strings.SplitSeq(sent, ",") {
		if strings.TrimPrefix(strings.TrimSpace(one), "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// held keeps an answer back until it is whole. One that is flushed is a stream
// and goes out as it comes.
type held struct {
	http.ResponseWriter
	status  int
	body    bytes.Buffer
	through bool
}

// WriteHeader keeps the status.
func (h *held) WriteHeader(status int) { h.status = status }

// Write keeps b, or lets it through.
func (h *held) Write(b []byte) (int, error) {
	if h.through {
		return h.ResponseWriter.Write(b)
	}
	return h.body.Write(b)
}

// FlushError lets through what is held and all that follows.
func (h *held) FlushError() error {
	if !h.through {
		h.through = true
		h.ResponseWriter.WriteHeader(h.status)
		if _, err := h.ResponseWriter.Write(h.body.Bytes()); err != nil {
			return err
		}
		h.body = bytes.Buffer{}
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (h *held) Unwrap() http.ResponseWriter { return h.ResponseWriter }
