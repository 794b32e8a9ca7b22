package identity

import (
	"net/http"
	"strings"
)

// CleanHop removes from r what would act on the next hop instead of on us:
//
//   - Connection names that Caddy's reverse_proxy would delete after every
//     middleware, ours included (Oathkeeper GHSA-w9mr-28mw-j8hg, Traefik
//     CVE-2026-29054): only close, keep-alive and, for a WebSocket, upgrade stay;
//   - Upgrade to anything but websocket, which would turn the proxy into a blind
//     tunnel (golang/go#80416), and HTTP2-Settings with it;
//   - trailers, a second block of headers that Caddy forwards after all
//     middleware has run (Traefik 86b5642f).
//
// TE stays on HTTP/2 and HTTP/3, where "trailers" is its only value: it says that
// the client reads the trailers of the answer, and gRPC servers refuse calls
// without it.
//
// It reports whether r asks for a WebSocket.
func CleanHop(r *http.Request) (websocket bool) {
	h := r.Header
	websocket = isWebSocket(r)
	if !websocket {
		delete(h, "Upgrade")
	}
	delete(h, "Http2-Settings")
	if values, present := h["Connection"]; present {
		cleanConnection(h, values, websocket)
	}
	delete(h, "Trailer")
	cleanTE(r)
	r.Trailer = nil
	return websocket
}

func cleanTE(r *http.Request) {
	values, present := r.Header["Te"]
	switch {
	case !present:
	case r.ProtoMajor >= 2 && hasToken(values, "trailers"):
		r.Header["Te"] = []string{"trailers"}
	default:
		delete(r.Header, "Te")
	}
}

// isWebSocket reports whether r asks to become a WebSocket, by RFC 6455 or, on
// HTTP/2 and HTTP/3, by extended CONNECT (RFC 8441, RFC 9220).
func isWebSocket(r *http.Request) bool {
	if IsExtendedConnect(r) {
		return true
	}
	upgrade := r.Header["Upgrade"]
	return r.ProtoMajor == 1 && r.Method == http.MethodGet &&
		len(upgrade) == 1 && strings.EqualFold(strings.Trim(upgrade[0], " \t"), "websocket") &&
		hasToken(r.Header["Connection"], "upgrade")
}

// IsExtendedConnect reports whether r is a CONNECT that opens a WebSocket over
// HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220); every other CONNECT asks for a tunnel.
func IsExtendedConnect(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	switch r.ProtoMajor {
	case 2:
		protocol := r.Header[":protocol"]
		return len(protocol) == 1 && protocol[0] == "websocket"
	case 3:
		return r.Proto == "websocket" // where quic-go puts :protocol
	}
	return false
}

func cleanConnection(h http.Header, values []string, websocket bool) {
	if len(values) == 1 && (values[0] == "close" || values[0] == "keep-alive") {
		return
	}
	kept := make([]string, 0, 2)
	for _, token := range [...]string{"close", "keep-alive", "upgrade"} {
		if (token != "upgrade" || websocket) && hasToken(values, token) {
			kept = append(kept, token)
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}
