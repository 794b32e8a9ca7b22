package provider_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// busy is a platform that answers no call: the proof was never sent.
type busy struct{}

func (busy) Exchange(context.Context, provider.Account, provider.Proof) (provider.User, error) {
	return provider.User{}, fmt.Errorf("%w: %w", provider.ErrUnavailable, provider.ErrNotSent)
}

// An error of Exchange matches one outcome, and ErrNotSent while the code is still good.
func ExampleProvider() {
	var platform provider.Provider = busy{}
	account := provider.Account{ID: "wx1234567890abcdef", Kind: provider.MiniProgram}
	_, err := platform.Exchange(context.Background(), account, provider.Proof{Code: "0a1b2c3d4e5f"})
	for _, outcome := range provider.Outcomes() {
		if errors.Is(err, outcome) {
			fmt.Println(outcome)
		}
	}
	fmt.Println("send it again:", errors.Is(err, provider.ErrNotSent))
	// Output:
	// WeChat unavailable
	// send it again: true
}
