package auth

import (
	"net/http"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// trip is what the answers of a site with one_trip get: those to a login the token,
// all others none.
type trip struct{ token, expiresIn string }

// On a site with one_trip, no app hands out what a client would take for a token.
// Where there is one, no app says either how long caches may keep the answer: not in
// the headers of its own that each kind of cache believes before Cache-Control.
var (
	tripReserved  = identity.NewReserved("Authorization", expiresInHeader)
	grantReserved = identity.NewReserved("Authorization", expiresInHeader, "ETag", "Cache-Control",
		"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires")
)

// strip removes from the header of an answer what only the gateway may say.
func (t *trip) strip(header http.Header) {
	switch {
	case t == nil:
		identity.StripAnswer(header)
	case t.token == "":
		tripReserved.Strip(header)
	default:
		grantReserved.Strip(header)
	}
}

// addToken puts the token into the header of the answer, if there is one.
func (t *trip) addToken(header http.Header) {
	if t == nil || t.token == "" {
		return
	}
	header["Authorization"] = []string{"Bearer " + t.token}
	header[expiresInHeader] = []string{t.expiresIn}
	header["Cache-Control"] = []string{"no-store"}
}

// expiresInHeader has the lifetime of the token of an answer. Documents write
// X-WeChat-Expires-In.
const expiresInHeader = "X-Wechat-Expires-In"
