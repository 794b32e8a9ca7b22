package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

const maxBody = 64 << 10

// Site serves a [Server]: WeChat's API, the control routes below /simulator/ and
// the playground. Several sites may share one [Server].
type Site struct {
	Server *Server
	// Apps are the AppIDs that are accepted, each with its AppSecret. With none,
	// every well-formed AppID is, with any secret.
	Apps map[string]string
	// Domains are the hosts that an account may send browsers back to, by AppID. An
	// account without any may send them to this machine.
	Domains map[string][]string
	// Gateway is what the playground talks to, http to a loopback address; nil
	// if there is none.
	Gateway *url.URL
	// Prefix of the gateway's routes.
	Prefix string
	// Live, if set, says how that gateway is.
	Live func(context.Context) Live
	// ResetBreakers, if set, makes that gateway ask again at once.
	ResetBreakers func()
}

// Live is how a gateway is now.
type Live struct {
	// Sessions that are live; negative if that is not known.
	Sessions int `json:"sessions"`
	// Breaker of calls of WeChat: closed, half-open or open, the worst of all apps.
	Breaker string `json:"breaker"`
}

// api answers as WeChat does: errors in a 200, JSON as text/plain.
func (s *Site) api(w http.ResponseWriter, r *http.Request, method string, answer func(*http.Request) (map[string]any, int)) {
	s.apiOr(w, r, method, answer, nil)
}

// apiOr is api for a call whose good answers are no JSON: other writes them.
func (s *Site) apiOr(w http.ResponseWriter, r *http.Request, method string, answer func(*http.Request) (map[string]any, int), other func()) {
	errcode, delay := s.Server.next(r.URL.Path)
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	if r.Method == http.MethodPost && r.ContentLength < 0 {
		http.Error(w, "chunked bodies are refused", http.StatusPreconditionFailed)
		return
	}
	var fields map[string]any
	switch {
	case errcode != 0:
	case r.Method != method:
		errcode = map[string]int{http.MethodGet: 43001, http.MethodPost: 43002}[method]
	default:
		fields, errcode = answer(r)
	}
	s.Server.answered(errcode)
	if errcode == 0 && other != nil {
		other()
		return
	}
	if errcode != 0 {
		fields = map[string]any{"errcode": errcode, "errmsg": errmsg(errcode)}
	}
	w.Header().Set("Content-Type", "text/plain")
	_ = json.NewEncoder(w).Encode(fields) // a client that left is no error of ours
}
