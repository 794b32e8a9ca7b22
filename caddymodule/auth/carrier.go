package auth

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/internal/identity"
)

// TokenCarrier says where clients send the token. Exactly one field is set.
type TokenCarrier struct {
	// A header that holds the bare token; `Bearer ` before it is accepted. With
	// `Authorization`, only the scheme Bearer is looked at.
	Header string `json:"header,omitempty"`

	// A query parameter. URLs end up in logs and histories, so only use it where
	// a client cannot set headers, and filter your logs.
	Query string `json:"query,omitempty"`

	// A cookie, which login then sets, besides the JSON: HttpOnly, SameSite=Lax,
	// and Secure under TLS.
	Cookie string `json:"cookie,omitempty"`
}

// carrier finds, removes and hands out tokens in one place of a request.
type carrier interface {
	// credential returns the token text, empty if there is none. Two different
	// ones are errTwoCredentials.
	credential(r *http.Request) (string, error)
	// remove takes the token out and leaves everything else as it was.
	remove(r *http.Request)
	// setToken gives a new token to the client beside the JSON, clearToken undoes it.
	setToken(w http.ResponseWriter, r *http.Request, token string, lifetime time.Duration)
	clearToken(w http.ResponseWriter, r *http.Request)
	// vary is the request header that answers depend on, if any.
	vary() string
	// ambient reports whether browsers send the token on their own.
	ambient() bool
	// inURL reports whether the token is in the URL.
	inURL() bool
}

var errTokenCarrier = errors.New("token: exactly one of header, query and cookie is needed")

func (t *TokenCarrier) carrier() (carrier, error) {
	switch {
	case t == nil:
		return bearerCarrier{}, nil
	case t.Header != "" && t.Query == "" && t.Cookie == "":
		if strings.EqualFold(t.Header, "Authorization") {
			return bearerCarrier{}, nil
		}
		if err := identity.CheckHeaderName(t.Header); err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		return headerCarrier{name: textproto.CanonicalMIMEHeaderKey(t.Header), folded: identity.Fold(t.Header)}, nil
	case t.Query != "" && t.Header == "" && t.Cookie == "":
		if err := checkParameterName("query", t.Query); err != nil {
			return nil, err
		}
		return queryCarrier{name: t.Query}, nil
	case t.Cookie != "" && t.Header == "" && t.Query == "":
		if err := checkParameterName("cookie", t.Cookie); err != nil {
			return nil, err
		}
		return cookieCarrier{name: t.Cookie}, nil
	}
	return nil, errTokenCarrier
}

// Put sends a token as clients do.
func (t *TokenCarrier) Put(req *http.Request, text string) {
	switch {
	case t == nil:
		req.Header.Set("Authorization", "Bearer "+text)
	case t.Query != "":
		req.URL.RawQuery = t.Query + "=" + text
	case t.Cookie != "":
		req.AddCookie(&http.Cookie{Name: t.Cookie, Value: text}) //nolint:gosec // a request has no attributes
	default:
		value := text
		if strings.EqualFold(t.Header, "Authorization") {
			value = "Bearer " + text
		}
		req.Header.Set(t.Header, value)
	}
}

// checkParameterName accepts names that need no escaping anywhere.
func checkParameterName(kind, name string) error {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("token: %s: %q: use only A-Z a-z 0-9 _ and -", kind, name)
		}
	}
	return nil
}

// onlyValue returns the only distinct value.
func onlyValue(values []string) (string, error) {
	for _, value := range values[1:] {
		if value != values[0] {
			return "", answer.ErrTwoCredentials
		}
	}
	return values[0], nil
}

// unauthored is for carriers that clients fill themselves.
type unauthored struct{}

func (unauthored) setToken(http.ResponseWriter, *http.Request, string, time.Duration) {}
func (unauthored) clearToken(http.ResponseWriter, *http.Request)                      {}
func (unauthored) ambient() bool                                                      { return false }

func (unauthored) inURL() bool { return false }

// bearerCarrier is Authorization: Bearer (RFC 6750). Other schemes belong to
// the app.
type bearerCarrier struct{ unauthored }

func (bearerCarrier) credential(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) == 1 {
		text, isBearer := bearer(values[0])
		return malformedIfEmpty(text, isBearer), nil
	}
	var tokens []string
	for _, value := range values {
		if text, isBearer := bearer(value); isBearer {
			tokens = append(tokens, malformedIfEmpty(text, true))
		}
	}
	if len(tokens) == 0 {
		return "", nil
	}
	return onlyValue(tokens)
}

// malformedIfEmpty makes an empty token a bad one: the client meant to send one.
func malformedIfEmpty(text string, sent bool) string {
	if sent && text == "" {
		return "-"
	}
	return text
}

func (bearerCarrier) remove(r *http.Request) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return
	}
	if len(values) == 1 {
		if _, isBearer := bearer(values[0]); isBearer {
			delete(r.Header, "Authorization")
		}
		return
	}
	kept := slices.DeleteFunc(slices.Clone(values), func(value string) bool {
		_, isBearer := bearer(value)
		return isBearer
	})
	if len(kept) == 0 {
		delete(r.Header, "Authorization")
		return
	}
	r.Header["Authorization"] = kept
}

func (bearerCarrier) vary() string { return "Authorization" }

// bearer returns what follows the scheme Bearer, in any case.
func bearer(value string) (text string, isBearer bool) {
	const scheme = "bearer"
	value = trim(value)
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	rest := value[len(scheme):]
	if rest == "" {
		return "", true
	}
	if rest[0] != ' ' && rest[0] != '\t' {
		return "", false
	}
	return trim(rest[1:]), true
}

// trim removes white space around a header value, which usually has none.
func trim(value string) string {
	if value == "" || value[0] > ' ' && value[len(value)-1] > ' ' {
		return value
	}
	return strings.Trim(value, " \t")
}

// headerCarrier is a header of its own for the token.
type headerCarrier struct {
	unauthored
	name, folded string
}

func (c headerCarrier) credential(r *http.Request) (string, error) {
	var tokens []string
	for _, value := range r.Header[c.name] {
		text, isBearer := bearer(value)
		if !isBearer {
			text = strings.Trim(value, " \t")
		}
		if text != "" {
			tokens = append(tokens, text)
		}
	}
	if len(tokens) == 0 {
		return "", nil
	}
	return onlyValue(tokens)
}

// remove takes every spelling: an app may read X_Token for X-Token.
func (c headerCarrier) remove(r *http.Request) {
	for name := range r.Header {
		if len(name) == len(c.folded) && identity.Fold(name) == c.folded {
			delete(r.Header, name)
		}
	}
}

func (c headerCarrier) vary() string { return c.name }

// queryCarrier is a query parameter.
type queryCarrier struct {
	unauthored
	name string
}

// is reports whether a pair of the raw query is the token's.
func (c queryCarrier) is(pair string) (value string, ok bool) {
	key, value, _ := strings.Cut(pair, "=")
	if key != c.name {
		decoded, err := url.QueryUnescape(key)
		if err != nil || decoded != c.name {
			return "", false
		}
	}
	decoded, err := url.QueryUnescape(value)
	if err != nil {
		return "-", true // a bad token, not none
	}
	return malformedIfEmpty(decoded, true), true
}

func (c queryCarrier) credential(r *http.Request) (string, error) {
	var tokens []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if value, ok := c.is(pair); ok {
			tokens = append(tokens, value)
		}
	}
	if len(tokens) == 0 {
		return "", nil
	}
	return onlyValue(tokens)
}

func (c queryCarrier) remove(r *http.Request) {
	request.RemoveFromQuery(r, func(pair string) bool { _, ok := c.is(pair); return ok })
}

func (queryCarrier) vary() string { return "" }
func (queryCarrier) inURL() bool  { return true }

// cookieCarrier is a cookie.
type cookieCarrier struct{ name string }

func (c cookieCarrier) is(pair string) (value string, ok bool) {
	name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
	if !found || strings.TrimRight(name, " \t") != c.name {
		return "", false
	}
	return strings.Trim(value, " \t"), true
}

// values yields those of all cookies of the name.
func (c cookieCarrier) values(r *http.Request) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range r.Header["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				if value, ok := c.is(pair); ok && !yield(value) {
					return
				}
			}
		}
	}
}

// credential refuses a cookie that comes twice, even with one value: which one
// counts is decided differently by every server, and a second one is planted
// from a sibling domain.
func (c cookieCarrier) credential(r *http.Request) (string, error) {
	text, count := "", 0
	for value := range c.values(r) {
		text = value
		count++
	}
	if count > 1 {
		return "", answer.ErrTwoCredentials
	}
	return text, nil
}

func (c cookieCarrier) remove(r *http.Request) {
	lines := r.Header["Cookie"]
	var kept []string
	for _, line := range lines {
		var pairs []string
		found := false
		for pair := range strings.SplitSeq(line, ";") {
			if _, ok := c.is(pair); ok {
				found = true
				continue
			}
			pairs = append(pairs, pair)
		}
		if found {
			line = strings.TrimLeft(strings.Join(pairs, ";"), " ")
		}
		if line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(r.Header, "Cookie")
		return
	}
	r.Header["Cookie"] = kept
}

func (c cookieCarrier) setToken(w http.ResponseWriter, r *http.Request, token string, lifetime time.Duration) {
	http.SetCookie(w, c.cookie(r, token, int(lifetime/time.Second)))
}

func (c cookieCarrier) clearToken(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, c.cookie(r, "", -1))
}

func (c cookieCarrier) cookie(r *http.Request, token string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where there is TLS
		Name: c.name, Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: request.Scheme(r) == "https",
	}
}

func (cookieCarrier) vary() string  { return "Cookie" }
func (cookieCarrier) ambient() bool { return true }
func (cookieCarrier) inURL() bool   { return false }
