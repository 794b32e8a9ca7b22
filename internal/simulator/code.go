package simulator

import (
	"sync"
	"time"
)

// A code is what a user's login hands to an app.
type code struct {
	mu    sync.Mutex
	appID string
	user  User
	used  bool
	grant *grant // of OAuth 2.0; nil for wx.login
}

// grant is what a code of OAuth 2.0 stands for.
type grant struct {
	scope    string
	snapshot bool
	errcode  int
	delay    time.Duration
}
