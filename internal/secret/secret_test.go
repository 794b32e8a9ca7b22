package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestOnlyRevealShowsTheText(t *testing.T) {
	const text = "s3cr3t"
	s := New(text)
	data, err := json.Marshal(map[string]any{"value": s, "pointer": &s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", s)
	printed := []string{string(data), log.String(), s.String(), s.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, struct{ S String }{s}))
	}
	for _, p := range printed {
		if strings.Contains(p, text) || strings.Contains(strings.ToLower(p), fmt.Sprintf("%x", text)) {
			t.Errorf("printed: %s", p)
		}
	}
	if s.Reveal() != text || s.IsZero() || !New("").IsZero() {
		t.Error("the text is lost")
	}
}
