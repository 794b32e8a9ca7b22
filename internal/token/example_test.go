package token_test

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

// The first key signs, and all of them verify. A key is taken out of use in three steps:
// add the new one behind it, swap the two, and drop the old one when its tokens are over.
func Example() {
	was, is := mustNew("the old key, of thirty-two bytes"), mustNew("the new key, of thirty-two bytes")
	before, after, later := mustSet(was, is), mustSet(is, was), mustSet(is)

	now := time.Unix(1_800_000_000, 0)
	text, err := token.Mint(before, token.Claims{
		User:     identity.User{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: "session-00000000000001"},
		IssuedAt: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		panic(err)
	}
	for _, keys := range []*key.Set{before, after, later} {
		claims, err := token.Verify(keys, text, now, time.Hour)
		fmt.Println(claims.User.OpenID, err)
	}
	_, err = token.Verify(after, text, now.Add(2*time.Hour), time.Hour)
	fmt.Println("two hours later:", errors.Is(err, token.ErrExpired))
	// Output:
	// oAAAAAAAAAAAAAAAAAAAAAAAAAAA <nil>
	// oAAAAAAAAAAAAAAAAAAAAAAAAAAA <nil>
	//  not a token of this gateway
	// two hours later: true
}

func mustNew(secret string) key.Key {
	k, err := key.New(bytes.Clone([]byte(secret)))
	if err != nil {
		panic(err)
	}
	return k
}

func mustSet(keys ...key.Key) *key.Set {
	set, err := key.NewSet(keys...)
	if err != nil {
		panic(err)
	}
	return set
}
