package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// A session lives from Put to Delete or to its end. "Not there" is ErrNotFound; every
// other error means that the store could not tell.
func ExampleStore() {
	ctx := context.Background()
	store := memory.New(memory.DefaultMaxSessions, time.Minute)
	defer func() { _ = store.Close() }()

	ref := session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAlice", SessionID: "session-1"}
	login := session.Login{Ref: ref, UnionID: "uAlice", Kind: session.MiniProgram, Ends: time.Now().Add(time.Hour)}
	if _, err := store.Put(ctx, login, session.MaxPerUser); err != nil {
		panic(err)
	}
	found, err := store.Get(ctx, session.Query{Ref: ref})
	fmt.Println(found.UnionID, err)

	if err := store.Delete(ctx, ref); err != nil {
		panic(err)
	}
	_, err = store.Get(ctx, session.Query{Ref: ref})
	fmt.Println("logged out:", errors.Is(err, session.ErrNotFound))
	// Output:
	// uAlice <nil>
	// logged out: true
}
