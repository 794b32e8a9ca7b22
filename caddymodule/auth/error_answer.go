package auth

import (
	"net/http"
	"reflect"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errorAnswer marks the answer to a request that the handlers behind returned an error
// for. Caddy's server answers such a request by itself or by the routes of
// handle_errors, and those write past every handler that the request came through.
type errorAnswer struct {
	responseWriter
	sent http.Header // once the header is sent: later additions are lost
}

// markError marks whatever answers in place of the handlers behind. The mark goes
// below the writers of Caddy's server, see keepWriters.
func (w *responseWriter) markError() {
	answer := &errorAnswer{responseWriter: *w}
	if !insertBelow(w.ResponseWriter, &answer.ResponseWriter, answer) {
		w.mark(http.StatusInternalServerError)
	}
}

// longIdle is an idle timeout that never fires.
const longIdle = caddy.Duration(365 * 24 * time.Hour)

// keepWriters makes the server wrap what it writes answers to, where it was told not
// to and there is nothing in place of which markError could write: neither idle
// timeouts nor an access log. What it wraps with then never ends a request.
func keepWriters(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if ok && server.ReadIdleTimeout < 0 && server.WriteIdleTimeout < 0 {
		server.ReadIdleTimeout = longIdle
	}
}

// Header returns a copy once the header is sent: nobody is there to look at
// trailers when the routes of handle_errors are done, so there are none.
func (w *errorAnswer) Header() http.Header {
	if !w.done {
		return w.ResponseWriter.Header()
	}
	if w.sent == nil {
		w.sent = w.ResponseWriter.Header().Clone()
	}
	return w.sent
}

// insertBelow puts a writer below the innermost wrapper around w that lets it, and
// what was there into under.
func insertBelow(w http.ResponseWriter, under *http.ResponseWriter, writer http.ResponseWriter) bool {
	var slot *http.ResponseWriter
	for {
		if s := slotOf(w); s != nil { //nolint:bodyclose // no answer of a client
			slot = s
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = wrapper.Unwrap()
	}
	if slot == nil {
		return false
	}
	*under, *slot = *slot, writer
	return true
}

// slotOf returns where a wrapper keeps the writer that it wraps: Caddy's have a
// [caddyhttp.ResponseWriterWrapper] in them, most in types of its own.
func slotOf(w http.ResponseWriter) *http.ResponseWriter {
	v := reflect.ValueOf(w)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	field, ok := v.Elem().Type().FieldByName("ResponseWriter")
	if !ok {
		return nil
	}
	value, err := v.Elem().FieldByIndexErr(field.Index)
	if err != nil || !value.CanAddr() || !value.CanInterface() {
		return nil
	}
	slot, _ := reflect.TypeAssert[*http.ResponseWriter](value.Addr()) //nolint:bodyclose // no answer of a client
	return slot
}
