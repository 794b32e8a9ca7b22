package auth

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// responseWriter wraps the writer of every answer that passes the gateway. It removes
// what only the gateway may say, from early hints, answers, upgrades and trailers
// alike. And it tells caches in front that an answer is one user's: it adds Vary
// with the header the token came in, and Cache-Control private where nobody said
// anything about caching.
type responseWriter struct {
	caddyhttp.ResponseWriterWrapper
	vary     []string
	browsers *browsers // whose cookies no app sets
	private  bool
	referrer bool
	done     bool
	trip     *trip     // nil on a site without one_trip
	until    time.Time // if not zero: caches may keep the answer until then
}

func (w *responseWriter) mark(status int) {
	if w.done {
		return
	}
	header := w.Header()
	w.strip(header)
	// Informational answers come before the final one; 101 has no body to cache.
	if status < http.StatusOK {
		return
	}
	w.done = true
	w.trip.addToken(header)
	if len(w.vary) > 0 {
		w.addVary(header)
	}
	if w.private && isBlank(header["Cache-Control"]) {
		header["Cache-Control"] = []string{"private"}
	}
	if !w.until.IsZero() {
		limitCaching(header, w.until)
	}
	if w.referrer {
		header["Referrer-Policy"] = []string{"no-referrer"}
	}
}

// isBlank reports whether a header is not there, or says nothing.
func isBlank(values []string) bool {
	for _, value := range values {
		if strings.Trim(value, " \t,") != "" {
			return false
		}
	}
	return true
}

// finish is called when the handlers behind are done, with their error. What they have
// written no status for is a 200, and trailers are as they will be sent.
func (w *responseWriter) finish(err error) error {
	switch {
	case w.done:
		w.strip(w.Header())
		w.trip.addToken(w.Header()) // HTTP/3 may not have sent it yet
	case err == nil:
		w.mark(http.StatusOK)
	default:
		w.markError()
	}
	return err
}

// strip removes what only the gateway may say.
func (w *responseWriter) strip(header http.Header) {
	w.trip.strip(header)
	w.browsers.stripAnswer(header)
}

// addVary names the headers that a token comes in, unless the app has.
func (w *responseWriter) addVary(header http.Header) {
	vary := header["Vary"]
	for _, name := range w.vary {
		if !variesOn(vary, name) {
			vary = append(vary, name)
		}
	}
	header["Vary"] = vary
}

func variesOn(values []string, on string) bool {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, on) {
				return true
			}
		}
	}
	return false
}

// WriteHeader implements [http.ResponseWriter].
func (w *responseWriter) WriteHeader(status int) {
	w.mark(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (int, error) {
	w.mark(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps sendfile and splice working.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	w.mark(http.StatusOK)
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError implements the flushing of [http.ResponseController], which sends
// the header.
func (w *responseWriter) FlushError() error {
	w.mark(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// limitCaching lets only the user's own cache keep an answer, and only until a time,
// whatever the app says.
func limitCaching(header http.Header, until time.Time) {
	control := "private, max-age=" + strconv.FormatInt(int64(max(time.Until(until), 0)/time.Second), 10)
	for _, value := range header["Cache-Control"] {
		for directive := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(directive, " \t"), "no-store") {
				control = "no-store"
			}
		}
	}
	header["Cache-Control"] = []string{control}
	delete(header, "Expires")
	delete(header, "Pragma")
	for name := range header {
		// Surrogate-Control, and those of RFC 9213: CDN-Cache-Control and the like.
		if strings.EqualFold(name, "Surrogate-Control") || len(name) > len("-Cache-Control") && strings.EqualFold(name[len(name)-len("-Cache-Control"):], "-Cache-Control") {
			delete(header, name)
		}
	}
}
