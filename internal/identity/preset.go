package identity

import "net/http"

// A Preset is a family of headers that tells the app who the user is. It is
// immutable.
type Preset interface {
	// Read remembers what a client asks; it comes before [Guard.Strip].
	Read(h http.Header) Asked
	// Keep puts back what a client asks of handlers further down; it comes after
	// [CleanHop].
	Keep(h http.Header, a Asked)
	// NeedsClient reports whether Inject has a use for the client's address.
	NeedsClient() bool
	// Inject sets the headers of u on a header map that the guard has stripped.
	Inject(h http.Header, g *Guard, u User, a Asked, clientIP string)
}

// Default is the preset of the gateway's own headers, whose names the guard knows.
type Default struct{}

// Read implements [Preset].
func (Default) Read(http.Header) Asked { return Asked{} }

// Keep implements [Preset].
func (Default) Keep(http.Header, Asked) {}

// NeedsClient implements [Preset].
func (Default) NeedsClient() bool { return false }

// Inject implements [Preset].
func (Default) Inject(h http.Header, g *Guard, u User, _ Asked, _ string) { g.Inject(h, u) }
