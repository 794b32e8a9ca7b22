package wechatapp

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// writeRefusal writes the JSON of a refusal.
func writeRefusal(w http.ResponseWriter, r refusal) { writeLoginRefusal(w, r, "") }

// writeLoginRefusal also says where browsers log in, if they do.
func writeLoginRefusal(w http.ResponseWriter, r refusal, login string) {
	setRefusalHeaders(w.Header(), r)
	writeJSON(w, r.status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Login   string `json:"login,omitempty"`
	}{r.code, r.message, login})
}

// setRefusalHeaders sets what belongs to a refusal in whatever form.
func setRefusalHeaders(header http.Header, r refusal) {
	header.Set(identity.VerdictHeader, r.code)
	switch r.status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(r.retryAfter, time.Second).Seconds()))))
	}
}

// writeJSON writes an answer of the gateway itself; a nil body is none.
func writeJSON(w http.ResponseWriter, status int, body any) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	header.Set("Content-Length", strconv.Itoa(len(data)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that left is no error of ours
}
