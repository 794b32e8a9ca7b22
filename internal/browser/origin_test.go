package browser

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
)

// An attacker sends a Host of his own, or the header of a proxy that he is not,
// and hopes that the login's answer, code included, is sent there (B2).
func TestB2OriginIsTheRequestsOrATrustedProxys(t *testing.T) {
	for name, test := range map[string]struct {
		host           string
		tls, trusted   bool
		protos, hosts  []string
		want, complain string
	}{
		"plain":                   {host: "example.com", want: "http://example.com", complain: "it is http"},
		"tls":                     {host: "example.com", tls: true, want: "https://example.com"},
		"upper case":              {host: "Example.COM", tls: true, want: "https://example.com"},
		"own port":                {host: "example.com:443", tls: true, want: "https://example.com"},
		"own port of http":        {host: "example.com:80", want: "http://example.com", complain: "it is http"},
		"other port":              {host: "example.com:8443", tls: true, want: "https://example.com:8443", complain: "it has a port"},
		"port of the other":       {host: "example.com:80", tls: true, want: "https://example.com:80", complain: "it has a port"},
		"address":                 {host: "192.0.2.1", tls: true, want: "https://192.0.2.1", complain: "its host is an IP address"},
		"IPv6":                    {host: "[2001:DB8::1]:8443", tls: true, want: "https://[2001:db8::1]:8443", complain: "its host is an IP address"},
		"loopback":                {host: "localhost:8080", want: "http://localhost:8080"},
		"loopback address":        {host: "127.0.0.1:8080", want: "http://127.0.0.1:8080"},
		"container":               {host: "my_app", tls: true, want: "https://my_app"},
		"forwarded, untrusted":    {host: "example.com", protos: []string{"https"}, hosts: []string{"evil.example"}, want: "http://example.com", complain: "it is http"},
		"forwarded":               {host: "10.0.0.1:80", trusted: true, protos: []string{"https"}, hosts: []string{"shop.example"}, want: "https://shop.example"},
		"forwarded twice":         {host: "inner", trusted: true, protos: []string{"http, https"}, hosts: []string{"evil.example", "x, Shop.example:443"}, want: "https://shop.example"},
		"forwarded down":          {host: "example.com", tls: true, trusted: true, protos: []string{"http"}, want: "http://example.com", complain: "it is http"},
		"forwarded nonsense":      {host: "example.com", tls: true, trusted: true, protos: []string{"gopher"}, want: "https://example.com"},
		"forwarded host nonsense": {host: "example.com", tls: true, trusted: true, hosts: []string{"evil.example/x"}},
		"none":                    {host: ""},
		"path":                    {host: "example.com/x"},
		"user":                    {host: "a@example.com"},
		"space":                   {host: "example .com"},
		"line break":              {host: "example.com\r\nX: y"},
		"fragment":                {host: "example.com#"},
		"quote":                   {host: `example.com"`},
		"percent":                 {host: "example%2ecom"},
		"not ASCII":               {host: "例子.com"},
		"port no number":          {host: "example.com:x"},
		"port empty":              {host: "example.com:"},
		"port zero":               {host: "example.com:0"},
		"port with zero":          {host: "example.com:080"},
		"port with sign":          {host: "example.com:+80"},
		"port too large":          {host: "example.com:65536"},
		"two ports":               {host: "example.com:80:80"},
		"bare IPv6":               {host: "::1"},
		"zone":                    {host: "[fe80::1%25eth0]"},
		"IPv4 in brackets":        {host: "[127.0.0.1]"},
		"open bracket":            {host: "[::1"},
		"after bracket":           {host: "[::1]evil"},
		"empty label":             {host: "a..b"},
		"dash":                    {host: "-a.example"},
		"long label":              {host: strings.Repeat("a", 64) + ".example"},
		"long":                    {host: strings.Repeat("a.", 127) + "example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Host: test.host, Header: http.Header{"X-Forwarded-Proto": test.protos, "X-Forwarded-Host": test.hosts}}
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			got, ok := OriginOf(r, test.trusted)
			if ok != (test.want != "") || ok && got.String() != test.want {
				t.Fatalf("got %v, %v, want %q", got, ok, test.want)
			}
			if ok && got.Refused() != test.complain {
				t.Errorf("complains %q, want %q", got.Refused(), test.complain)
			}
		})
	}
}

// Whatever is an origin can be written into an address, and is its own normal form.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range []string{"example.com:443", "[::1]:80", "a..b", "EXAMPLE.com.", "a:b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		got, ok := ParseOrigin("https", host)
		if !ok {
			return
		}
		if strings.ContainsFunc(got.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/\@?#%"<>`, r) }) {
			t.Fatalf("%q is the origin %q", host, got)
		}
		if again, ok := ParseOrigin("https", got.Host); !ok || again != got {
			t.Fatalf("%q is the origin %q, and that %q", host, got, again)
		}
	})
}
