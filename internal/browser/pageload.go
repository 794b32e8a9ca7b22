package browser

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// PageLoad reports whether a browser shows the answer to this request as a page
// of its own, so that it can follow a redirect to WeChat. Everything else, of
// scripts above all, wants the JSON of an API.
//
// Browsers say so in Sec-Fetch-Mode and -Dest. Over plain http, and in Safari and
// WKWebView before 16.4, they do not, and Accept is all there is.
func PageLoad(r *http.Request) bool {
	h := r.Header
	if r.Method != http.MethodGet || len(h["Upgrade"]) > 0 || len(h["Hx-Request"]) > 0 || len(h["X-Pjax"]) > 0 || prefetch(h) {
		return false
	}
	// Any other value is the package name of the Android app whose WebView it is.
	for _, value := range h["X-Requested-With"] {
		if strings.EqualFold(value, "XMLHttpRequest") {
			return false
		}
	}
	if mode := h["Sec-Fetch-Mode"]; len(mode) > 0 {
		dest := h["Sec-Fetch-Dest"]
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && dest[0] == "document"
	}
	return acceptsHTML(h["Accept"])
}

// prefetch reports whether the answer may never be shown.
func prefetch(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		for _, value := range h[name] {
			if containsFold(value, "prefetch") {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether a list of media types names text/html; */* does not.
func acceptsHTML(values []string) bool {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			mediaType, params, err := mime.ParseMediaType(item)
			if err != nil || mediaType != "text/html" {
				continue
			}
			if quality, err := strconv.ParseFloat(params["q"], 64); err == nil && quality <= 0 {
				continue
			}
			return true
		}
	}
	return false
}

// Form reports whether a browser sends a form and shows the answer as a page, so
// that a person reads it and not a script.
func Form(r *http.Request) bool {
	h := r.Header
	if r.Method == http.MethodGet || r.Method == http.MethodHead || len(h["Hx-Request"]) > 0 || len(h["X-Pjax"]) > 0 {
		return false
	}
	for _, value := range h["X-Requested-With"] {
		if strings.EqualFold(value, "XMLHttpRequest") {
			return false
		}
	}
	if mode := h["Sec-Fetch-Mode"]; len(mode) > 0 {
		dest := h["Sec-Fetch-Dest"]
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && dest[0] == "document"
	}
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && acceptsHTML(h["Accept"]) &&
		(mediaType == "application/x-www-form-urlencoded" || mediaType == "multipart/form-data" || mediaType == "text/plain")
}

// OwnLink reports whether a page load comes from the site itself, or from the
// address bar, and from no other site. Browsers say so over https only.
func OwnLink(h http.Header) bool {
	site := h["Sec-Fetch-Site"]
	return len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
}
