package gateway

import "time"

// Observer is told what happens inside. Its methods are called while requests
// wait, and by many at once.
type Observer interface {
	// TokenSeen: a request carries a token; known says that its signature was
	// known to be good and not verified again.
	TokenSeen(known bool)
	// GracePassed: a request passes by Config.Grace.
	GracePassed(appID string)
	// StoreFailed: the session store could not tell.
	StoreFailed(appID string)
	// CodeRepeated: a code came again and did not reach WeChat again.
	CodeRepeated(appID string)
	// LoginLimited: a login was refused by Config.LoginLimit, or because too many
	// were waiting for WeChat.
	LoginLimited(appID string)
	// HookAsked: the login hook gave its verdict, or failed.
	HookAsked(appID string, took time.Duration, err error)
	// BreakerChanged: calls of WeChat are suspended from now on, or not any more.
	BreakerChanged(appID string, change BreakerChange)
}

// nobody observes nothing.
type nobody struct{}

func (nobody) TokenSeen(bool)                       {}
func (nobody) GracePassed(string)                   {}
func (nobody) StoreFailed(string)                   {}
func (nobody) CodeRepeated(string)                  {}
func (nobody) LoginLimited(string)                  {}
func (nobody) BreakerChanged(string, BreakerChange) {}

func (nobody) HookAsked(string, time.Duration, error) {}
