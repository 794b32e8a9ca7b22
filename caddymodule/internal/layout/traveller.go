package layout

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
)

// Traveller is a request on its way.
type Traveller struct {
	Method, Host  string
	Sent, Current string // escaped paths
	By            []Passed
	// Undecided counts the turns that it took without knowing.
	Undecided int
	depth     int
	// sample is the request that matchers were asked about last, until a rewrite.
	sample *http.Request
}

// Passed is a gate that a request went through.
type Passed struct {
	Gate      *Handler
	Undecided int // turns until then
}

// rewritten is the request after a rewrite.
func (t Traveller) rewritten(r *rewrite.Rewrite) Traveller {
	request, err := t.request(t.Current)
	if err != nil {
		return t
	}
	repl, ok := request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return t
	}
	r.Rewrite(request, repl)
	t.sample = nil
	t.Current, t.Method = request.URL.EscapedPath(), request.Method
	if !strings.HasPrefix(t.Current, "/") {
		t.Current = "/" + t.Current
	}
	return t
}

func (t *Traveller) request(path string) (*http.Request, error) {
	return request.Sample(t.Method, t.Host, path)
}

func (t *Traveller) ask(m caddyhttp.RequestMatcherWithError) verdict {
	if t.sample == nil {
		sample, err := t.request(t.Current)
		if err != nil {
			return unknown
		}
		t.sample = sample
	}
	switch matched, err := m.MatchWithError(t.sample); {
	case err != nil:
		return unknown
	case matched:
		return yes
	}
	return no
}
