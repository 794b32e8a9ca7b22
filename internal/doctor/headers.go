package doctor

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// Forgery is an attempt to be another user: a client's copies of the identity
// headers in the spellings that servers read as one.
type Forgery struct {
	// True are the headers that the app should get, by their canonical names.
	True http.Header
	// Marker is in every forged value and in nothing else.
	Marker string
}

// names are the headers that are forged: those of the site, and those that apps
// know from elsewhere.
func (f Forgery) names() []string {
	names := slices.Sorted(maps.Keys(f.True))
	for _, name := range []string{identity.DefaultOpenID, identity.DefaultUnionID, identity.DefaultAppID, "X-Wx-Openid", "X-Wx-Unionid"} {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// AddTo adds the forged headers to a request.
func (f Forgery) AddTo(h http.Header) {
	value := func(n int) string { return fmt.Sprintf("%s-%d", f.Marker, n) }
	for n, name := range f.names() {
		for _, spelling := range []string{
			name, strings.ToLower(name), strings.ToUpper(name),
			strings.ReplaceAll(name, "-", "_"), strings.ToLower(strings.ReplaceAll(name, "-", "_")), strings.ReplaceAll(name, "-", "."),
		} {
			h[spelling] = []string{value(n), value(n)} // not Set, which would respell the name
		}
	}
}

// Erase adds a Connection header that names the identity headers, so that a
// careless proxy removes the gateway's own.
func (f Forgery) Erase(h http.Header) {
	h["Connection"] = []string{strings.Join(f.names(), ", ")}
}

// Judge says what is wrong with the headers that the app got, in words; empty if
// nothing is. For a request that has no identity, all of them must be absent.
func (f Forgery) Judge(got http.Header, authenticated bool) wording.Text {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		for _, value := range got[name] {
			if strings.Contains(value, f.Marker) {
				return wording.Textf("the app gets %s as the client sent it, so anybody can be anybody", name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.True)) {
		if problem := f.judgeOne(name, got, authenticated); !problem.IsZero() {
			return problem
		}
	}
	return wording.Text{}
}

func (f Forgery) judgeOne(name string, got http.Header, authenticated bool) wording.Text {
	var values []string
	for other, theirs := range got {
		if identity.Fold(other) != identity.Fold(name) {
			continue
		}
		if other != name {
			return wording.Textf("the app gets %s, which many servers read as %s", other, name)
		}
		values = theirs
	}
	switch {
	case !authenticated && len(values) > 0:
		return wording.Textf("the app gets %s on a request without a login", name)
	case !authenticated:
		return wording.Text{}
	case len(values) == 0:
		return wording.Textf("the app does not get %s", name)
	case len(values) > 1:
		return wording.Textf("the app gets %s %d times", name, len(values))
	case values[0] != f.True.Get(name):
		return wording.Textf("the app gets %s with another value than the user's", name)
	}
	return wording.Text{}
}

// Identified reports whether any of the identity headers is there.
func (f Forgery) Identified(got http.Header) bool {
	for name := range f.True {
		if len(got[name]) > 0 {
			return true
		}
	}
	return false
}
