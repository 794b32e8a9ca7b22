// Package request is what Caddy knows about a request: who sent it and how, what it
// was before rewrites, and its body.
package request
