package crosssite

import (
	"errors"
	"net/http"
	"testing"
)

// A page of evil.example runs in a browser beside the gateway. It can send forms
// and "simple" requests to 127.0.0.1, and with its own name resolved to 127.0.0.1
// it reads the answers as well.
func TestGuard(t *testing.T) {
	known := func(host string) bool { return host == "api.example" }
	for _, tc := range []struct {
		name           string
		host           string
		header         []string // name, value, …
		programs, page error    // of a guard for programs, of one with pages
	}{
		{"a program", "127.0.0.1:80", nil, nil, nil},
		{"by name", "LOCALHOST.:80", nil, nil, nil},
		{"IPv6", "[::1]:80", nil, nil, nil},
		{"IPv6 without port", "[::1]", nil, nil, nil},
		{"its own name", "api.example", nil, nil, ErrHost},
		{"another port", "API.example.:8443", nil, nil, ErrHost},
		{"rebinding", "evil.example:80", nil, ErrHost, ErrHost},
		{"a look-alike", "127.0.0.1.evil.example", nil, ErrHost, ErrHost},
		{"no host", "", nil, ErrHost, ErrHost},
		{"Node's fetch", "127.0.0.1", []string{"Sec-Fetch-Mode", "cors"}, nil, nil},
		{"its own page", "127.0.0.1:80", []string{"Origin", "http://127.0.0.1:80", "Sec-Fetch-Site", "same-origin"}, ErrPage, nil},
		{"typed into the address bar", "127.0.0.1", []string{"Sec-Fetch-Site", "none"}, ErrPage, nil},
		{"another site's page", "127.0.0.1", []string{"Sec-Fetch-Site", "cross-site"}, ErrPage, ErrPage},
		{"another site's form", "127.0.0.1", []string{"Origin", "null"}, ErrPage, ErrPage},
		{"another port's page", "127.0.0.1:80", []string{"Origin", "http://127.0.0.1:81"}, ErrPage, ErrPage},
		{"empty headers", "127.0.0.1", []string{"Origin", ""}, ErrPage, ErrPage},
		{"two of them", "127.0.0.1", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, ErrPage, ErrPage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{Host: tc.host, Header: http.Header{}}
			for i := 0; i < len(tc.header); i += 2 {
				r.Header.Add(tc.header[i], tc.header[i+1])
			}
			if err := (Guard{KnowsHost: known}).Check(r); !errors.Is(err, tc.programs) {
				t.Errorf("for programs: %v, want %v", err, tc.programs)
			}
			if err := (Guard{OwnPages: true}).Check(r); !errors.Is(err, tc.page) {
				t.Errorf("with pages: %v, want %v", err, tc.page)
			}
		})
	}
}
