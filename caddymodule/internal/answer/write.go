package answer

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// Write writes the JSON of a refusal.
func Write(w http.ResponseWriter, r Refusal) { WriteWithLogin(w, r, "") }

// WriteWithLogin also says where browsers log in, if they do.
func WriteWithLogin(w http.ResponseWriter, r Refusal, login string) {
	SetHeaders(w.Header(), r)
	WriteJSON(w, r.Status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Login   string `json:"login,omitempty"`
	}{r.Code, r.Message, login})
}

// SetHeaders sets what belongs to a refusal in whatever form.
func SetHeaders(header http.Header, r Refusal) {
	header.Set(identity.VerdictHeader, r.Code)
	switch r.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(r.RetryAfter, time.Second).Seconds()))))
	}
}

// WriteJSON writes an answer of the gateway itself; a nil body writes nothing.
func WriteJSON(w http.ResponseWriter, status int, body any) {
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
