package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/request"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/strictjson"
	"github.com/caddy-wechat/gateway/internal/urlpath"
)

const maxSignBody = 64 << 10

var errTokenOnly = fmt.Errorf("%w: this needs a token; a browser's cookie does not do", gateway.ErrInvalidRequest)

// tokenOnly returns the token of a request to a route that no cookie opens.
func (h *Handler) tokenOnly(r *http.Request) (string, error) {
	cred, err := h.requireCredentials(r)
	if err == nil && cred.byCookie {
		err = errTokenOnly
	}
	return cred.text, err
}

// sign makes signed URLs.
func (h *Handler) sign(w http.ResponseWriter, r *http.Request, c *classified) error {
	text, err := h.tokenOnly(r)
	if err != nil {
		return err
	}
	origin, err := h.origin(r)
	if err != nil {
		return err
	}
	req, batch, err := readSign(w, r)
	if err != nil {
		return err
	}
	req.Token, req.Host, req.Routes = text, origin.Host, []string{h.prefix}
	if base := h.base(c); base != "" {
		req.Routes = append(req.Routes, urlpath.Fold(base)+h.prefix)
	}
	urls, lifetime, err := h.gateway.Sign(r.Context(), req, h.apps)
	if err != nil {
		return err
	}
	h.record.Passed(wechatapp.Authenticated)
	expiresIn := int64(lifetime / time.Second)
	if batch {
		answer.WriteJSON(w, http.StatusOK, struct {
			URLs      []string `json:"urls"`
			ExpiresIn int64    `json:"expires_in"`
		}{urls, expiresIn})
		return nil
	}
	answer.WriteJSON(w, http.StatusOK, struct {
		URL       string `json:"url"`
		ExpiresIn int64  `json:"expires_in"`
	}{urls[0], expiresIn})
	return nil
}

var errSignBody = fmt.Errorf("%w: the body must be one JSON object with either path or paths, and optionally expires_in", gateway.ErrInvalidRequest)

func readSign(w http.ResponseWriter, r *http.Request) (req gateway.SignRequest, batch bool, err error) {
	if !strictjson.Declared(r.Header) {
		return req, false, answer.ErrMediaType
	}
	data, err := request.ReadBody(w, r, maxSignBody)
	if err != nil {
		return req, false, err
	}
	members, err := strictjson.Object(data, maxLoginDepth)
	if err != nil {
		return req, false, errSignBody
	}
	path, hasOne := members["path"]
	paths, batch := members["paths"]
	if hasOne == batch {
		return req, batch, errSignBody
	}
	raw := []json.RawMessage{path}
	if batch && (len(paths) == 0 || paths[0] != '[' || json.Unmarshal(paths, &raw) != nil) {
		return req, batch, errSignBody
	}
	for _, text := range raw {
		path, ok := strictjson.String(text)
		if !ok {
			return req, batch, errSignBody
		}
		req.Targets = append(req.Targets, path)
	}
	req.Lifetime = gateway.DefaultSignedLifetime
	if given, ok := members["expires_in"]; ok {
		seconds, ok := strictjson.Int(given)
		if !ok {
			return req, batch, errSignBody
		}
		// Bounded first: seconds may be more than a Duration holds.
		seconds = min(max(seconds, 0), int64(gateway.MaxSignedLifetime/time.Second)+1)
		req.Lifetime = time.Duration(seconds) * time.Second
	}
	return req, batch, nil
}

// takeSignature takes signatures out of a request, in every spelling and wherever
// Caddy keeps the address, and returns the query with them if there were any.
func takeSignature(r *http.Request) (query string) {
	sent, current := "", r.URL.RawQuery
	original, ok := request.Original(r)
	if ok {
		sent = original.URL.RawQuery
	} else {
		sent = current
	}
	if sent == "" && current == "" || !gateway.HasSignature(sent) && !gateway.HasSignature(current) {
		return ""
	}
	request.RemoveFromQuery(r, gateway.IsSignature)
	return sent
}

// judgesSignature reports whether a request is of the kind that a signature opens.
func (h *Handler) judgesSignature(r *http.Request, query string, hop hop) bool {
	return query != "" && gateway.HasSignature(query) && !hop.upgrades && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// needsSignature reports whether a request has nothing else that counts.
func needsSignature(err error) bool {
	for _, nothing := range []error{answer.ErrNoToken, gateway.ErrLoginRequired, gateway.ErrSessionExpired, gateway.ErrSessionEnded} {
		if errors.Is(err, nothing) {
			return true
		}
	}
	return false
}

// admitSigned judges the signature of a request whose other credentials do not count.
// Theirs is the error if the signature says nothing better.
func (h *Handler) admitSigned(r *http.Request, c *classified, query string, credentialErr error) (gateway.Pass, time.Time, error) {
	if !c.canonical() {
		return gateway.Pass{}, time.Time{}, credentialErr
	}
	origin, err := h.origin(r)
	if err != nil {
		return gateway.Pass{}, time.Time{}, credentialErr
	}
	pass, until, err := h.gateway.AdmitSigned(r.Context(), origin.Host, c.sent, query, h.apps)
	if errors.Is(err, gateway.ErrLoginRequired) {
		err = credentialErr
	}
	return pass, until, err
}
