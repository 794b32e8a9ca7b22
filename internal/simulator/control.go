package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
)

// errGateway: the gateway did not answer in HTTP. The playground's own mistakes
// are not wrapped in it.
var errGateway = errors.New("the gateway does not answer")

// control answers the routes that people steer the simulator by. Unlike
// WeChat's, their status codes say what happened.
func (s *Site) control(w http.ResponseWriter, r *http.Request, method string, do func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != method {
		w.Header().Set("Allow", method)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	answer, err := do(r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errGateway) {
			status = http.StatusBadGateway
		}
		w.WriteHeader(status)
		answer = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that left is no error of ours
}

// newCode takes user and appid from the query, so that curl needs no body, or
// from a body.
func (s *Site) newCode(r *http.Request) (any, error) {
	q := r.URL.Query()
	form := struct {
		AppID string `json:"appid"`
		User  string `json:"user"`
	}{q.Get("appid"), q.Get("user")}
	if r.ContentLength != 0 {
		if err := decode(r, &form); err != nil {
			return nil, err
		}
	}
	text, err := s.Server.Login(form.AppID, form.User)
	if err != nil {
		return nil, err
	}
	return map[string]string{"code": text}, nil
}

func (s *Site) newUser(r *http.Request) (any, error) {
	var u User
	if err := decode(r, &u); err != nil {
		return nil, err
	}
	if err := s.Server.AddUser(u); err != nil {
		return nil, err
	}
	return s.Server.Users(), nil
}

func (s *Site) newScript(r *http.Request) (any, error) {
	var script Script
	if err := decode(r, &script); err != nil {
		return nil, err
	}
	if err := s.Server.SetScript(script); err != nil {
		return nil, err
	}
	if script.Errcode == 0 {
		s.wakeGateway()
	}
	return s.state(r)
}

func (s *Site) reset(r *http.Request) (any, error) {
	s.Server.reset()
	s.wakeGateway()
	return s.state(r)
}

// wakeGateway tells a gateway in this process that WeChat is well again: it does not
// ask for ten minutes after an exhausted quota.
func (s *Site) wakeGateway() {
	if s.ResetBreakers != nil {
		s.ResetBreakers()
	}
}

func (s *Site) chooseTools(r *http.Request) (any, error) {
	var form struct {
		User string `json:"user"`
	}
	if err := decode(r, &form); err != nil {
		return nil, err
	}
	if err := s.Server.SetDeveloperTools(form.User); err != nil {
		return nil, err
	}
	return s.state(r)
}

// siteState is what the playground needs to know.
type siteState struct {
	State
	Apps    []string `json:"apps"`
	Gateway string   `json:"gateway,omitempty"`
	Prefix  string   `json:"prefix,omitempty"`
	// Wakes says that reset, and an answer without an errcode, close the breakers of
	// the gateway; otherwise it asks again when its pause is over.
	Wakes bool `json:"wakes,omitempty"`
	// Live is how the gateway is, if it runs in this process.
	Live *Live `json:"live,omitempty"`
}

func (s *Site) state(r *http.Request) (any, error) {
	state := siteState{State: s.Server.State(), Apps: slices.AppendSeq([]string{}, maps.Keys(s.Apps))}
	slices.Sort(state.Apps)
	state.Wakes = s.ResetBreakers != nil
	if s.Gateway != nil {
		state.Gateway, state.Prefix = s.Gateway.String(), s.Prefix
	}
	if s.Live != nil {
		live := s.Live(r.Context())
		state.Live = &live
	}
	return state, nil
}

// decode reads one JSON object and refuses what it does not know. Typing a
// wrong content type with curl is so easy that its default is accepted.
func decode(r *http.Request, into any) error {
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "", "application/json", "application/x-www-form-urlencoded":
	default:
		return fmt.Errorf("reading body: %s is not application/json", kind)
	}
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("reading body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading body: more than one value")
	}
	return nil
}
