// Package providertest is the contract of a [provider.Provider]. Every kind of account
// passes it.
package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// The account and codes of the contract. The secret has characters that a query
// escapes, so that both spellings are looked for in errors.
const (
	AccountID = "wx1234567890abcdef"
	Secret    = "5ecret+5ecret/5ecret=5ecret0000"
	Code      = "0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p"
	OpenID    = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	UnionID   = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// Account of the contract.
func Account() provider.Account {
	return provider.Account{ID: AccountID, Secret: secret.New(Secret)}
}

// Subject is what the contract is about.
type Subject struct {
	// New returns the provider, which calls the API at base and waits for answers
	// as long as timeout.
	New func(t *testing.T, base string, timeout time.Duration) provider.Provider
	// API is a platform that knows the account, and one user, of Code.
	API func() http.Handler
	// Success is an answer of the API that makes a user of any code.
	Success string
	// Errors are answers of the API by their outcome: all that can happen.
	Errors map[string]error
}

// Run checks the contract.
func Run(t *testing.T, s Subject) {
	t.Run("a code is one user, once", s.codeIsOneUser)
	t.Run("errors have one outcome", s.errorsHaveOneOutcome)
	t.Run("hostile answers", s.hostileAnswers)
	t.Run("what was not sent", s.notSent)
	t.Run("time", s.time)
	t.Run("a code goes out once", s.sentOnce)
	if _, ok := s.New(t, "http://127.0.0.1:1", time.Second).(provider.Redirecter); ok {
		t.Run("the address to log in at", s.authorizeURL)
	}
}

func (s Subject) at(t *testing.T, handler http.Handler) provider.Provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return s.New(t, server.URL, 5*time.Second)
}

func answer(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(body))
	})
}

// want checks that err has exactly one outcome, and shows nothing secret.
func want(t *testing.T, name string, user provider.User, err, outcome error) {
	t.Helper()
	if err == nil || user != (provider.User{}) {
		t.Errorf("%s: a user, and the error is %v", name, err)
		return
	}
	for _, known := range provider.Outcomes() {
		if got := errors.Is(err, known); got != (known == outcome) { //nolint:errorlint // which of the list it is
			t.Errorf("%s: %v: is %q: %v", name, err, known, got)
		}
	}
	for _, hidden := range []string{Secret, url.QueryEscape(Secret), Code, OpenID} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), hidden) {
			t.Errorf("%s: the error shows %q", name, hidden)
		}
	}
}

func (s Subject) codeIsOneUser(t *testing.T) {
	p := s.at(t, s.API())
	user, err := p.Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	if err != nil || user.OpenID != OpenID || user.UnionID != UnionID {
		t.Errorf("%+v, %v", user, err)
	}
	user, err = p.Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "used", user, err, provider.ErrCodeUsed)
	user, err = p.Exchange(t.Context(), Account(), provider.Proof{Code: "another"})
	want(t, "another", user, err, provider.ErrCodeRejected)
	wrong := Account()
	wrong.Secret = secret.New("wrong")
	user, err = p.Exchange(t.Context(), wrong, provider.Proof{Code: Code})
	want(t, "wrong secret", user, err, provider.ErrMisconfigured)
}

func (s Subject) errorsHaveOneOutcome(t *testing.T) {
	for body, outcome := range s.Errors {
		user, err := s.at(t, answer(body)).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
		want(t, body, user, err, outcome)
		if errors.Is(err, provider.ErrNotSent) {
			t.Errorf("%s: not sent", body)
		}
	}
}

func (s Subject) hostileAnswers(t *testing.T) {
	if user, err := s.at(t, answer(s.Success)).Exchange(t.Context(), Account(), provider.Proof{Code: Code}); err != nil || user.OpenID == "" {
		t.Fatalf("%+v, %v", user, err)
	}
	for name, body := range map[string]string{
		"nothing": "", "a page": "<html>", "a list": "[" + s.Success + "]", "cut off": s.Success[:len(s.Success)-1],
		"followed by another": s.Success + s.Success, "large": s.Success + strings.Repeat(" ", 1<<20),
		"two openids":    strings.Replace(s.Success, "{", `{"openid":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB",`, 1),
		"a bad openid":   strings.Replace(s.Success, OpenID, `o\r\nX-Admin: 1`, 1),
		"no openid":      strings.Replace(s.Success, `"openid"`, `"OPENID"`, 1),
		"not UTF-8":      strings.Replace(s.Success, OpenID, "\xff", 1),
		"nobody at home": `{}`,
	} {
		user, err := s.at(t, answer(body)).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
		want(t, name, user, err, provider.ErrBadAnswer)
	}
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusFound)
	})
	user, err := s.at(t, redirect).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "a redirect", user, err, provider.ErrBadAnswer)
}

func (s Subject) notSent(t *testing.T) {
	user, err := s.New(t, "http://127.0.0.1:1", 5*time.Second).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "no connection", user, err, provider.ErrUnavailable)
	if !errors.Is(err, provider.ErrNotSent) {
		t.Errorf("%v: the code is still good", err)
	}
	hangUp := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	user, err = s.at(t, hangUp).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "hung up", user, err, provider.ErrUnavailable)
	if errors.Is(err, provider.ErrNotSent) {
		t.Errorf("%v: the code may be spent", err)
	}
}

func (s Subject) time(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	user, err := s.New(t, server.URL, 50*time.Millisecond).Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "no answer", user, err, provider.ErrTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if user, err := s.New(t, server.URL, time.Second).Exchange(ctx, Account(), provider.Proof{Code: Code}); !errors.Is(err, context.Canceled) || user != (provider.User{}) {
		t.Errorf("cancelled: %+v, %v", user, err)
	}
}

// net/http sends a GET again when a kept connection dies under it.
func (s Subject) sentOnce(t *testing.T) {
	var asked atomic.Int32
	p := s.at(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			_, _ = w.Write([]byte(s.Success))
			return
		}
		panic(http.ErrAbortHandler)
	}))
	if _, err := p.Exchange(t.Context(), Account(), provider.Proof{Code: "first"}); err != nil {
		t.Fatal(err)
	}
	user, err := p.Exchange(t.Context(), Account(), provider.Proof{Code: Code})
	want(t, "the second", user, err, provider.ErrUnavailable)
	if n := asked.Load(); n != 2 {
		t.Errorf("the code was sent %d times", n-1)
	}
}

func (s Subject) authorizeURL(t *testing.T) {
	r := s.New(t, "http://127.0.0.1:1", time.Second).(provider.Redirecter)
	const state, callback = "0123456789abcdef0123456789abcdef", "https://shop.example/wechat/callback?n=1&to=%2Fa%3Fb"
	raw := r.AuthorizeURL(Account(), "", state, callback)
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" {
		t.Fatalf("%s: %v", raw, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || query.Get("state") != state || query.Get("redirect_uri") != callback {
		t.Errorf("%s: %v, %v", raw, query, err)
	}
	for name, values := range query {
		if len(values) != 1 {
			t.Errorf("%s comes %d times", name, len(values))
		}
	}
	if strings.Contains(raw, Secret) || strings.Contains(raw, url.QueryEscape(Secret)) {
		t.Error("the address shows the secret")
	}
}
