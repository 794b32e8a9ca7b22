// Package stores has the session stores of the namespace wechat.stores: `memory` and
// `redis`, each with its settings, its options in a Caddyfile and its probe.
package stores
