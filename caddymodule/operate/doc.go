// Package operate is for the people who run a gateway: the endpoints below /wechat/ of
// Caddy's admin endpoint, the commands `caddy wechat …` that speak to them, and the
// doctor, which examines a configuration.
package operate
