// Package client carries the Mini Program client, so that the playground runs
// the same file as Mini Programs do.
package client

import _ "embed"

// Script is index.js. As a plain script it defines caddyWechat.
//
//go:embed index.js
var Script []byte
