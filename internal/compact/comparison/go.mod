module github.com/caddy-wechat/gateway/internal/compact/comparison

go 1.26.0

replace github.com/caddy-wechat/gateway => ../../..

require (
	github.com/allegro/bigcache/v3 v3.1.0
	github.com/caddy-wechat/gateway v0.0.0-00010101000000-000000000000
	github.com/coocood/freecache v1.2.7
	github.com/maypok86/otter/v2 v2.4.0
	github.com/patrickmn/go-cache v2.1.0+incompatible
)

require github.com/cespare/xxhash/v2 v2.3.0 // indirect
