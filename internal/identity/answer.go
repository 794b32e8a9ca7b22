package identity

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// VerdictHeader is on every refusal of the gateway, with its code, so that a client
// can tell whose refusal it is. Documents write X-WeChat-Gateway.
const VerdictHeader = "X-Wechat-Gateway"

// Reserved are headers of answers that only the gateway may send.
type Reserved struct{ names *nameSet }

// NewReserved returns the names and what only the gateway may send in any answer.
func NewReserved(names ...string) Reserved {
	s := newNameSet()
	s.add(protected, VerdictHeader)
	s.add(protected, names...)
	return Reserved{s}
}

var gatewayOnly = NewReserved()

// StripAnswer removes what only the gateway may send in any answer, see [Reserved.Strip].
func StripAnswer(h http.Header) { gatewayOnly.Strip(h) }

// Strip removes from the header of an answer, in place, every alias of a header
// that only the gateway may send: an app that sent one would speak for it. Trailers
// are names that Trailer announces, or that begin with [http.TrailerPrefix].
func (s Reserved) Strip(h http.Header) {
	for name := range h {
		bare, announced := strings.CutPrefix(name, http.TrailerPrefix)
		if s.names.kindOf(bare) != other {
			delete(h, name) // Header.Del would canonicalize the name and miss it
			continue
		}
		if !announced && name == "Trailer" {
			s.stripAnnounced(h)
		}
	}
}

// stripAnnounced takes the names out of the list of announced trailers.
func (s Reserved) stripAnnounced(h http.Header) {
	isOurs := func(name string) bool { return s.names.kindOf(textproto.TrimString(name)) != other }
	values := h["Trailer"]
	if !slices.ContainsFunc(values, func(value string) bool {
		return slices.ContainsFunc(strings.Split(value, ","), isOurs)
	}) {
		return
	}
	var kept []string
	for _, value := range values {
		if names := slices.DeleteFunc(strings.Split(value, ","), isOurs); len(names) > 0 {
			kept = append(kept, textproto.TrimString(strings.Join(names, ",")))
		}
	}
	if len(kept) == 0 {
		delete(h, "Trailer")
		return
	}
	h["Trailer"] = kept
}
