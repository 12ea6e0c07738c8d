package holdfast_test

import (
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestNearest(t *testing.T) {
	known := []string{"webhook", "mail", "chat", "alertmanager"}
	for word, want := range map[string]string{
		"webhok": "webhook", "Mail": "mail", "alertmanger": "alertmanager", "chta": "chat",
		"pigeon": "", "": "", "x": "",
	} {
		if got := holdfast.Nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}
