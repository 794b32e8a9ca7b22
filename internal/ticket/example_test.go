package ticket_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/ticket"
)

// What is sealed opens for the same purpose and place only.
func Example() {
	signer, err := key.New(bytes.Repeat([]byte("8 bytes."), 4))
	if err != nil {
		panic(err)
	}
	keys, err := key.NewSet(signer)
	if err != nil {
		panic(err)
	}
	shop := ticket.Place{Host: "shop.example.com"}
	text, err := ticket.Seal(keys, ticket.WebView, shop, []byte("alice"))
	if err != nil {
		panic(err)
	}
	data, err := ticket.Open(keys, ticket.WebView, shop, text)
	fmt.Printf("%s %v\n", data, err)

	_, err = ticket.Open(keys, ticket.WebView, ticket.Place{Host: "blog.example.com"}, text)
	fmt.Println("another site:", errors.Is(err, ticket.ErrOpen))
	_, err = ticket.Open(keys, ticket.State, shop, text)
	fmt.Println("another purpose:", errors.Is(err, ticket.ErrOpen))
	// Output:
	// alice <nil>
	// another site: true
	// another purpose: true
}
