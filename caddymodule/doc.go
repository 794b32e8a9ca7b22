// Package caddymodule registers every Caddy module of the gateway, which live in
// a folder each below it. It holds no code: import it, or name it to xcaddy.
package caddymodule
